/// A keyed 64-bit hash of short byte strings, for tables whose keys come from clients.
///
/// The shape is the well-known multiply-and-fold family (64x64 to 128-bit product, halves xored). All four multiplicands
/// depend on random words drawn at start, so that nobody outside can make keys that collide or zero a product: a fixed
/// public constant there would let chosen input cancel it whatever the seed is.
@frozen public struct KeyedHash {
    public let word0: UInt64
    public let word1: UInt64
    public let word2: UInt64

    /// - Parameter random: three random 64-bit words; oddness is forced where the mixing needs it.
    public init(_ random: (UInt64, UInt64, UInt64)) {
        word0 = random.0
        word1 = random.1 | 1
        word2 = random.2 | 1
    }

    @inlinable @inline(__always) static func mix(_ left: UInt64, _ right: UInt64) -> UInt64 {
        let product = left.multipliedFullWidth(by: right)
        return product.high ^ product.low
    }

    @inlinable @inline(__always) public func callAsFunction(_ view: ByteView) -> UInt64 {
        let base = view.base
        let count = view.count
        var hash = word0
        var low: UInt64
        var high: UInt64
        if count <= 16 {
            if count >= 8 {
                low = base.loadUnaligned(as: UInt64.self)
                high = base.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self)
            } else if count >= 4 {
                low = UInt64(base.loadUnaligned(as: UInt32.self))
                high = UInt64(base.loadUnaligned(fromByteOffset: count &- 4, as: UInt32.self))
            } else if count > 0 {
                low = UInt64(view[0]) << 16 | UInt64(view[count >> 1]) << 8 | UInt64(view[count &- 1])
                high = 0
            } else {
                low = 0
                high = 0
            }
        } else {
            var rest = count
            var position = base
            while rest > 16 {
                hash = KeyedHash.mix(
                    position.loadUnaligned(as: UInt64.self) ^ word1,
                    position.loadUnaligned(fromByteOffset: 8, as: UInt64.self) ^ hash)
                position += 16
                rest &-= 16
            }
            low = position.loadUnaligned(fromByteOffset: rest &- 16, as: UInt64.self)
            high = position.loadUnaligned(fromByteOffset: rest &- 8, as: UInt64.self)
        }
        return KeyedHash.mix(
            word2 ^ UInt64(truncatingIfNeeded: count), KeyedHash.mix(low ^ word1, high ^ hash))
    }
}
