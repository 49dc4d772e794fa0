import CLinux

/// A growable run of bytes that is written at the end and consumed from the front: a handle to state on the heap.
///
/// It is a trivial handle rather than a class or a non-copyable struct because connections, the reply writer and the TLS
/// layer all write to the same buffer within one turn of the loop, and reference counts or exclusivity checks on each
/// append were measured at 2 to 4 times the cost of the append. The owner calls `create` once and `destroy` once.
///
/// Layout: `[consumed ... start)[start ... end) readable [end ... capacity) free`. Positions are byte counts.
@frozen public struct OutputBuffer {
    @frozen public struct State {
        public var base: UnsafeMutableRawPointer
        public var start: Int
        public var end: Int
        public var capacity: Int
        /// Where the latest error reply begins, as the count of readable bytes before it plus one; 0: none since somebody
        /// looked. Kept here because the buffer is what every writer of replies has in its cache anyway.
        public var errorMark = 0

        @inlinable init(base: UnsafeMutableRawPointer, capacity: Int) {
            self.base = base
            self.start = 0
            self.end = 0
            self.capacity = capacity
        }
    }

    public let state: UnsafeMutablePointer<State>

    @inlinable init(state: UnsafeMutablePointer<State>) { self.state = state }

    /// Allocates a buffer of at least `capacity` bytes. The caller owns it and ends it with `destroy`.
    public static func create(capacity: Int = 256) -> OutputBuffer {
        let state = UnsafeMutablePointer<State>.allocate(capacity: 1)
        let size = max(capacity, 64)
        state.initialize(to: State(base: allocateBytes(size), capacity: size))
        return OutputBuffer(state: state)
    }

    public func destroy() {
        free(state.pointee.base)
        state.deinitialize(count: 1)
        state.deallocate()
    }

    /// Readable bytes.
    @inlinable @inline(__always) public var count: Int { state.pointee.end &- state.pointee.start }
    @inlinable @inline(__always) public var isEmpty: Bool { state.pointee.end == state.pointee.start }
    @inlinable @inline(__always) public var capacity: Int { state.pointee.capacity }
    @inlinable @inline(__always) public var readable: UnsafeRawPointer {
        UnsafeRawPointer(state.pointee.base + state.pointee.start)
    }
    @inlinable @inline(__always) public var view: ByteView { ByteView(readable, count) }

    /// Makes room for `count` more bytes and returns where they go; `commit` makes them readable.
    @inlinable @inline(__always) public func reserve(_ count: Int) -> UnsafeMutableRawPointer {
        if state.pointee.end &+ count > state.pointee.capacity { grow(count) }
        return state.pointee.base + state.pointee.end
    }

    @inlinable @inline(__always) public func commit(_ count: Int) { state.pointee.end &+= count }

    @inlinable @inline(__always) public func append(_ bytes: UnsafeRawPointer, _ count: Int) {
        memcpy(reserve(count), bytes, count)
        state.pointee.end &+= count
    }

    @inlinable @inline(__always) public func append(_ view: ByteView) { append(view.base, view.count) }

    @inlinable @inline(__always) public func append(_ literal: StaticString) {
        append(UnsafeRawPointer(literal.utf8Start), literal.utf8CodeUnitCount)
    }

    public func append(_ bytes: [UInt8]) { bytes.withView { append($0) } }
    public func append(_ text: String) {
        var text = text
        text.withUTF8 { buffer in
            if let base = buffer.baseAddress { append(UnsafeRawPointer(base), buffer.count) }
        }
    }

    @inlinable @inline(__always) public func append(byte: UInt8) {
        reserve(1).storeBytes(of: byte, as: UInt8.self)
        state.pointee.end &+= 1
    }

    /// Removes `count` bytes from the front. Resets the positions when nothing is left.
    @inlinable @inline(__always) public func consume(_ count: Int) {
        state.pointee.start &+= count
        if state.pointee.start == state.pointee.end {
            state.pointee.start = 0
            state.pointee.end = 0
        }
    }

    /// Takes back what was written after `position`, a value that `end` had before.
    @inlinable public func truncate(to position: Int) { state.pointee.end = position }
    @inlinable public var end: Int { state.pointee.end }

    @inlinable public func removeAll() {
        state.pointee.start = 0
        state.pointee.end = 0
        state.pointee.errorMark = 0
    }

    /// Gives memory back when the buffer is empty and larger than `limit` bytes.
    public func shrink(to limit: Int) {
        guard isEmpty, state.pointee.capacity > limit else { return }
        free(state.pointee.base)
        state.pointee.base = allocateBytes(limit)
        state.pointee.capacity = limit
        removeAll()
    }

    @usableFromInline @inline(never) func grow(_ extra: Int) {
        let used = count
        var wanted = used + extra
        if state.pointee.start > 0 {
            memmove(state.pointee.base, state.pointee.base + state.pointee.start, used)
            state.pointee.start = 0
            state.pointee.end = used
            // Moving pays only when it makes room for a good while: else a buffer that is nearly full and consumed in
            // small pieces would be moved with each of them.
            if wanted <= state.pointee.capacity &- state.pointee.capacity / 4 { return }
            wanted += wanted / 2
        }
        // Checked arithmetic: lengths here are bounded by the limits on queries and replies long before they overflow.
        var capacity = state.pointee.capacity
        while capacity < wanted { capacity *= 2 }
        guard let base = realloc(state.pointee.base, capacity) else { outOfMemory(capacity) }
        state.pointee.base = base
        state.pointee.capacity = capacity
    }
}

/// `malloc` that does not return nil: without memory for a buffer no service can go on, and Redis ends there too.
public func allocateBytes(_ count: Int) -> UnsafeMutableRawPointer {
    guard let base = malloc(count) else { outOfMemory(count) }
    return base
}

public func outOfMemory(_ count: Int) -> Never {
    let message = ByteView("fatal: out of memory\n")
    _ = write(2, message.base, message.count)
    abort()
}

extension UnsafeMutableRawPointer {
    /// Ends memory that came from `allocateBytes`.
    @inlinable public func deallocateFromMalloc() { free(self) }
}
