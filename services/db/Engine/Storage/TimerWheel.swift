// Expiry: a hierarchical timer wheel of one-millisecond ticks, with the links inside the entries.
//
// Eleven levels of 64 slots cover 64 bits of milliseconds. An entry lies in the level of the highest 6-bit group in which
// its expiry differs from the wheel's time, so it is moved down at most ten times and usually twice. Adding and removing
// cost a few stores and no allocation. When time reaches a slot, its whole list becomes `pending` by one store, and
// `advance` works pending entries off in bounded portions: a slot with a million entries cannot stall a turn. An entry that
// is due but still pending is already invisible, because every look-up compares the expiry itself.
// Rejected: sampling (memory held by dead keys, latency spikes), a heap or a tree (log n and a cache miss a level).
//
// - Spec: G. Varghese, T. Lauck: Hashed and Hierarchical Timing Wheels, scheme 7.
import CLinux

struct TimerWheel {
    struct State {
        var elapsed: UInt64
        var count = 0
        var occupied: UnsafeMutablePointer<UInt64>
        var slots: UnsafeMutablePointer<UInt>
        /// Stable storage for the head of the pending list, so that entries can link to it.
        var pendingHead: UnsafeMutablePointer<UInt>
    }

    static let levels = 11
    /// Milliseconds.
    static let toleratedStepBack: UInt64 = 10_000
    let state: UnsafeMutablePointer<State>

    init(now: Int64) {
        state = .allocate(capacity: 1)
        let occupied = UnsafeMutablePointer<UInt64>.allocate(capacity: TimerWheel.levels)
        occupied.initialize(repeating: 0, count: TimerWheel.levels)
        let slots = UnsafeMutablePointer<UInt>.allocate(capacity: TimerWheel.levels * 64)
        slots.initialize(repeating: 0, count: TimerWheel.levels * 64)
        let pendingHead = UnsafeMutablePointer<UInt>.allocate(capacity: 1)
        pendingHead.initialize(to: 0)
        state.initialize(
            to: State(
                elapsed: UInt64(max(0, now)), occupied: occupied, slots: slots, pendingHead: pendingHead))
    }

    func destroy() {
        state.pointee.occupied.deallocate()
        state.pointee.slots.deallocate()
        state.pointee.pendingHead.deallocate()
        state.deallocate()
    }

    @inline(__always) var count: Int { state.pointee.count }

    /// Links an entry that has an expiry and is not linked.
    @inline(__always) func add(_ entry: Entry) {
        state.pointee.count &+= 1
        link(entry)
    }

    @inline(__always) private func link(_ entry: Entry) {
        let expiry = UInt64(truncatingIfNeeded: max(0, entry.expiry))
        let elapsed = state.pointee.elapsed
        let head: UnsafeMutablePointer<UInt>
        if expiry <= elapsed {
            head = state.pointee.pendingHead
        } else {
            let level = (63 &- ((elapsed ^ expiry) | 63).leadingZeroBitCount) / 6
            let index = Int(truncatingIfNeeded: (expiry >> UInt64(level &* 6)) & 63)
            head = state.pointee.slots + (level &* 64 &+ index)
            state.pointee.occupied[level] |= 1 &<< UInt64(index)
        }
        let next = head.pointee
        entry.timerNext = next
        entry.timerLink = UInt(bitPattern: head)
        if let following = UnsafeMutableRawPointer(bitPattern: next) {
            Entry(following).timerLink = UInt(bitPattern: entry.base + 16)
        }
        head.pointee = UInt(bitPattern: entry.base)
    }

    /// Unlinks an entry that was added.
    @inline(__always) func remove(_ entry: Entry) {
        state.pointee.count &-= 1
        unlink(entry)
    }

    @inline(__always) private func unlink(_ entry: Entry) {
        let next = entry.timerNext
        // SAFETY: `timerLink` is the address of a slot head or of the previous entry's link word, both alive as long as
        // this entry is linked.
        UnsafeMutablePointer<UInt>(bitPattern: entry.timerLink).unsafelyUnwrapped.pointee = next
        if let following = UnsafeMutableRawPointer(bitPattern: next) { Entry(following).timerLink = entry.timerLink }
    }

    /// Moves time to `now` and hands due entries to `expire`, which must `remove` them from the wheel; at most `budget`
    /// entries are looked at.
    ///
    /// - Returns: whether work is left for now.
    func advance(to now: Int64, budget: Int, _ expire: (Entry) -> Void) -> Bool {
        guard count > 0 else {
            state.pointee.elapsed = max(state.pointee.elapsed, UInt64(max(0, now)))
            return false
        }
        let now = UInt64(max(0, now))
        if now < state.pointee.elapsed {
            // The clock went back. A little: wait for it, due times are compared by every look-up anyway. A lot: start over.
            if state.pointee.elapsed - now > TimerWheel.toleratedStepBack { rebuild(now) }
            return false
        }
        var budget = budget
        while true {
            while let address = UnsafeMutableRawPointer(bitPattern: state.pointee.pendingHead.pointee) {
                if budget == 0 { return true }
                budget -= 1
                let entry = Entry(address)
                if UInt64(truncatingIfNeeded: max(0, entry.expiry)) <= now {
                    if let following = UnsafeRawPointer(bitPattern: entry.timerNext) { cl_prefetch(following) }
                    expire(entry)
                } else {
                    unlink(entry)
                    link(entry)
                }
            }
            guard let (level, index, deadline) = nextSlot(), deadline <= now else {
                state.pointee.elapsed = max(state.pointee.elapsed, now)
                return false
            }
            state.pointee.elapsed = max(state.pointee.elapsed, deadline)
            takeSlot(level, index)
        }
    }

    /// Links every entry anew, from time `now` on. Costs time in proportion to the number of entries; needed only after the
    /// clock was set back.
    private func rebuild(_ now: UInt64) {
        var all: UInt = 0
        func collect(_ head: UnsafeMutablePointer<UInt>) {
            var address = head.pointee
            while let base = UnsafeMutableRawPointer(bitPattern: address) {
                address = Entry(base).timerNext
                Entry(base).timerNext = all
                all = UInt(bitPattern: base)
            }
            head.pointee = 0
        }
        collect(state.pointee.pendingHead)
        for slot in 0..<TimerWheel.levels * 64 { collect(state.pointee.slots + slot) }
        for level in 0..<TimerWheel.levels { state.pointee.occupied[level] = 0 }
        state.pointee.elapsed = now
        while let base = UnsafeMutableRawPointer(bitPattern: all) {
            all = Entry(base).timerNext
            link(Entry(base))
        }
    }

    private func takeSlot(_ level: Int, _ index: Int) {
        let head = state.pointee.slots + (level * 64 + index)
        state.pointee.occupied[level] &= ~(1 << UInt64(index))
        let first = head.pointee
        head.pointee = 0
        state.pointee.pendingHead.pointee = first
        if let entry = UnsafeMutableRawPointer(bitPattern: first) {
            Entry(entry).timerLink = UInt(bitPattern: state.pointee.pendingHead)
        }
    }

    /// The occupied slot that is due first and the time when it is. The lowest level with an occupied slot has it, since a
    /// higher level's slot starts after everything that a lower level can hold.
    private func nextSlot() -> (level: Int, index: Int, deadline: UInt64)? {
        let elapsed = state.pointee.elapsed
        for level in 0..<TimerWheel.levels {
            let occupied = state.pointee.occupied[level]
            if occupied == 0 { continue }
            let shift = UInt64(level * 6)
            let now = (elapsed >> shift) & 63
            let rotated = now == 0 ? occupied : occupied >> now | occupied << (64 - now)
            let distance = UInt64(rotated.trailingZeroBitCount)
            let index = Int((now + distance) & 63)
            let span: UInt64 = level == 10 ? .max : (1 << (shift + 6)) - 1
            let deadline = elapsed & ~span | UInt64(index) << shift
            return (level, index, deadline)
        }
        return nil
    }

    /// Milliseconds since 1970 when `advance` has something to do; nil when there is nothing.
    var nextDeadline: Int64? {
        if state.pointee.pendingHead.pointee != 0 { return Int64(state.pointee.elapsed) }
        return nextSlot().map { Int64(clamping: $0.deadline) }
    }

    /// Traps when a link is damaged. For tests.
    func checkInvariants() {
        var found = 0
        func walk(_ head: UnsafeMutablePointer<UInt>) {
            var link = UInt(bitPattern: head)
            var address = head.pointee
            while let base = UnsafeMutableRawPointer(bitPattern: address) {
                precondition(Entry(base).timerLink == link, "a timer link points elsewhere")
                link = UInt(bitPattern: base + 16)
                address = Entry(base).timerNext
                found += 1
            }
        }
        walk(state.pointee.pendingHead)
        for slot in 0..<TimerWheel.levels * 64 { walk(state.pointee.slots + slot) }
        precondition(found == count, "the wheel counts \(count), its lists hold \(found)")
    }
}
