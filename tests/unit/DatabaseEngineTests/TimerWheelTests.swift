import ByteStorage
import Testing

@testable import DatabaseEngine

private final class CheckedWheel {
    var random: RandomGenerator
    let slab = SlabAllocator()
    let wheel: TimerWheel
    /// Live entries by number.
    var entries: [Int: Entry] = [:]
    private var nextNumber = 0

    init(seed: UInt64, now: Int64) {
        random = RandomGenerator(seed: seed)
        wheel = TimerWheel(now: now)
    }

    deinit { wheel.destroy() }

    @discardableResult
    func add(_ expiry: Int64) -> Int {
        let number = nextNumber
        nextNumber += 1
        let entry = Array("\(number)".utf8).withView {
            Entry.make(slab, key: $0, kind: .inlineString, valueBytes: 0, expires: true)
        }
        entry.expiry = expiry
        wheel.add(entry)
        entries[number] = entry
        return number
    }

    func remove(_ number: Int) {
        guard let entry = entries.removeValue(forKey: number) else { return }
        wheel.remove(entry)
        entry.freeBlock(slab)
    }

    /// The expiries handed out, in order.
    func advance(_ now: Int64, budget: Int = .max) -> (expired: [Int64], more: Bool) {
        var expired: [Int64] = []
        let more = wheel.advance(to: now, budget: budget) { entry in
            expired.append(entry.expiry)
            remove(Int(entry.key.string) ?? -1)
        }
        return (expired, more)
    }
}

@Suite("TimerWheel")
struct TimerWheelTests {
    @Test("Entries expire at their millisecond, none early and none late", arguments: [1, 2, 3, 4] as [UInt64])
    func randomWorkload(seed: UInt64) {
        var now: Int64 = 1_700_000_000_000
        let checked = CheckedWheel(seed: seed, now: now)
        for _ in 0..<2000 {
            switch checked.random.below(4) {
            case 0, 1:
                let spans: [Int] = [10, 100, 5_000, 300_000, 100_000_000, 1 << 40]
                checked.add(now + Int64(checked.random.below(spans[checked.random.below(spans.count)])))
            case 2:
                if let number = checked.entries.keys.min(by: { ($0 &* 7919) % 101 < ($1 &* 7919) % 101 }) {
                    checked.remove(number)
                }
            default:
                now += Int64(checked.random.below(checked.random.below(20) == 0 ? 3_000_000 : 500))
                let due = checked.entries.values.map(\.expiry).filter { $0 <= now }.sorted()
                let (expired, more) = checked.advance(now)
                #expect(expired.sorted() == due, "seed \(seed)")
                #expect(!more)
                if let deadline = checked.wheel.nextDeadline, let first = checked.entries.values.map(\.expiry).min() {
                    #expect(deadline <= first)
                }
            }
        }
        checked.wheel.checkInvariants()
        #expect(checked.wheel.count == checked.entries.count)
    }

    @Test("Woken at each deadline, the wheel hands entries out in the order of their expiry")
    func order() {
        let checked = CheckedWheel(seed: 5, now: 1000)
        for _ in 0..<500 { checked.add(1001 + Int64(checked.random.below(10_000))) }
        var expired: [Int64] = []
        while let deadline = checked.wheel.nextDeadline {
            let portion = checked.advance(deadline).expired
            #expect(portion.allSatisfy { $0 == deadline })
            expired += portion
        }
        #expect(expired.count == 500)
        #expect(expired == expired.sorted())
    }

    @Test("A budget bounds the entries of one call, and says that more are due")
    func budget() {
        let checked = CheckedWheel(seed: 6, now: 1000)
        for _ in 0..<100 { checked.add(5000) }
        var left = 100
        while true {
            let (expired, more) = checked.advance(6000, budget: 30)
            left -= expired.count
            #expect(expired.count <= 30)
            if !more { break }
        }
        #expect(left == 0)
    }

    @Test("Waking at each deadline expires an entry years away, in few steps")
    func distantDeadlines() {
        let checked = CheckedWheel(seed: 7, now: 1000)
        let expiry: Int64 = 1000 + 3 * 365 * 86_400_000 + 12_345
        checked.add(expiry)
        var steps = 0
        var expired: [Int64] = []
        while let deadline = checked.wheel.nextDeadline, steps < 30 {
            expired += checked.advance(deadline).expired
            steps += 1
        }
        #expect(expired == [expiry])
        #expect(steps <= 11)
    }

    @Test("A clock set back a lot starts the wheel over; entries expire at their time again")
    func clockSetBack() {
        let checked = CheckedWheel(seed: 8, now: 1_000_000_000)
        checked.add(1_000_005_000)
        checked.add(1_000_900_000)
        #expect(checked.advance(1_000_000_000).expired.isEmpty)
        #expect(checked.advance(500_000_000).expired.isEmpty)
        checked.wheel.checkInvariants()
        checked.add(500_000_100)
        #expect(checked.advance(500_000_100).expired == [500_000_100])
        #expect(checked.advance(1_000_005_000).expired == [1_000_005_000])
        #expect(checked.advance(1_000_900_000).expired == [1_000_900_000])
    }

    @Test("A clock set back a little is waited for")
    func clockSetBackALittle() {
        let checked = CheckedWheel(seed: 9, now: 100_000)
        checked.add(100_500)
        #expect(checked.advance(99_000).expired.isEmpty)
        #expect(checked.advance(100_499).expired.isEmpty)
        #expect(checked.advance(100_500).expired == [100_500])
    }

    @Test("Expiries of zero, in the past and at the end of time are held")
    func extremes() {
        let checked = CheckedWheel(seed: 10, now: 100_000)
        checked.add(0)
        checked.add(-5)
        checked.add(.max)
        #expect(checked.advance(100_000).expired.sorted() == [-5, 0])
        checked.wheel.checkInvariants()
        #expect(checked.advance(.max).expired == [.max])
    }
}
