import ByteStorage

/// The arguments of all commands of one batch, one after the other, and scratch memory for those that had to be unescaped.
///
/// Parsing writes `ByteView`s that point into the receive buffers; nothing is allocated per command once the arena has
/// reached its working size. Commands remember the index of their first argument, never a pointer, because the arena may
/// move when it grows. `reset` starts the next batch.
public struct ArgumentArena {
    @frozen public struct State {
        public var base: UnsafeMutablePointer<ByteView>
        public var count: Int
        public var capacity: Int
        @usableFromInline var scratch: [UnsafeMutableRawPointer]

        @inlinable init(base: UnsafeMutablePointer<ByteView>, capacity: Int) {
            self.base = base
            self.count = 0
            self.capacity = capacity
            self.scratch = []
        }
    }

    public let state: UnsafeMutablePointer<State>

    public init(capacity: Int = 4096) {
        state = .allocate(capacity: 1)
        state.initialize(to: State(base: .allocate(capacity: capacity), capacity: capacity))
    }

    public func destroy() {
        reset()
        state.pointee.base.deallocate()
        state.deinitialize(count: 1)
        state.deallocate()
    }

    @inlinable @inline(__always) public subscript(_ index: Int) -> ByteView {
        state.pointee.base[index]
    }

    /// The arguments from `first` on. Valid until the arena grows or is reset.
    @inlinable @inline(__always) public func pointer(_ first: Int) -> UnsafeMutablePointer<ByteView> {
        state.pointee.base + first
    }

    @inlinable @inline(__always) public var count: Int { state.pointee.count }

    @inlinable @inline(__always) public func append(_ view: ByteView) {
        if state.pointee.count == state.pointee.capacity { grow() }
        state.pointee.base[state.pointee.count] = view
        state.pointee.count &+= 1
    }

    @inlinable @inline(__always) public func truncate(to count: Int) { state.pointee.count = count }

    @inlinable @inline(__always) public func reset() {
        state.pointee.count = 0
        if !state.pointee.scratch.isEmpty || state.pointee.capacity > ArgumentArena.keptCapacity { giveBack() }
    }

    /// Arguments for which memory is kept between batches.
    @usableFromInline static let keptCapacity = 1 << 18

    @usableFromInline @inline(never) func giveBack() {
        freeScratch()
        guard state.pointee.capacity > ArgumentArena.keptCapacity else { return }
        state.pointee.base.deallocate()
        state.pointee.base = .allocate(capacity: 4096)
        state.pointee.capacity = 4096
    }

    /// Copies `bytes` into memory that lives until `reset`.
    public func copyToScratch(_ bytes: [UInt8]) -> ByteView {
        let memory = allocateBytes(max(bytes.count, 8))
        bytes.withUnsafeBytes { memory.copyMemory(from: $0.baseAddress ?? emptyByteBase, byteCount: $0.count) }
        state.pointee.scratch.append(memory)
        return ByteView(memory, bytes.count)
    }

    @usableFromInline @inline(never) func grow() {
        let capacity = state.pointee.capacity * 2
        let base = UnsafeMutablePointer<ByteView>.allocate(capacity: capacity)
        base.update(from: state.pointee.base, count: state.pointee.count)
        state.pointee.base.deallocate()
        state.pointee.base = base
        state.pointee.capacity = capacity
    }

    @usableFromInline @inline(never) func freeScratch() {
        for memory in state.pointee.scratch { memory.deallocateFromMalloc() }
        state.pointee.scratch.removeAll()
    }
}
