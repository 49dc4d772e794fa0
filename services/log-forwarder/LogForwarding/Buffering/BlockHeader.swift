// The frame of a block in a segment file. Little-endian, 64 bytes:
//
//     0  magic "dSLB"        16  records            48  CRC-64 of tag and payload
//     4  state (1, 2)        20  zero               56  CRC-64 of bytes 0..<56, the state taken as 0
//     5  version 1           24  sequence
//     6  tag's length        32  chunk id, 16 bytes
//     8  payload's length
//    12  length unpacked
//
// Then the tag and the payload, an LZ4 frame. The state is outside the checksum, because it is rewritten in place, one byte,
// when the block has been acknowledged: losing that write costs a repetition, nothing else.
import ByteStorage
import CLinux
import Compression

struct BlockHeader: Equatable {
    static let bytes = 64
    static let magic: UInt32 = 0x424c_5364
    static let stateOffset = 4
    static let live: UInt8 = 1
    static let acknowledged: UInt8 = 2
    /// Longer payloads are not written, so they need not be believed.
    static let largestPayload = 8 << 20
    static let largestUnpacked = 32 << 20
    static let longestTag = 1024

    var isAcknowledged: Bool
    var tagLength: Int
    var payloadLength: Int
    var unpackedLength: Int
    var records: Int
    var sequence: UInt64
    var chunkID: (UInt64, UInt64)
    var contentChecksum: UInt64

    /// Header, tag and payload.
    var totalLength: Int { Self.bytes + tagLength + payloadLength }

    static func == (left: BlockHeader, right: BlockHeader) -> Bool {
        left.isAcknowledged == right.isAcknowledged && left.tagLength == right.tagLength
            && left.payloadLength == right.payloadLength && left.unpackedLength == right.unpackedLength
            && left.records == right.records && left.sequence == right.sequence && left.chunkID == right.chunkID
            && left.contentChecksum == right.contentChecksum
    }

    /// Writes the 64 bytes at `target`.
    func write(to target: UnsafeMutableRawPointer) {
        memset(target, 0, Self.bytes)
        func store<Value: FixedWidthInteger>(_ value: Value, _ offset: Int) {
            target.storeBytes(of: value.littleEndian, toByteOffset: offset, as: Value.self)
        }
        store(Self.magic, 0)
        store(UInt8(1), 5)
        store(UInt16(clamping: tagLength), 6)
        store(UInt32(clamping: payloadLength), 8)
        store(UInt32(clamping: unpackedLength), 12)
        store(UInt32(clamping: records), 16)
        store(sequence, 24)
        store(chunkID.0, 32)
        store(chunkID.1, 40)
        store(contentChecksum, 48)
        store(CRC64.of(ByteView(target, 56)), 56)
        store(isAcknowledged ? Self.acknowledged : Self.live, Self.stateOffset)
    }

    /// Nil when the bytes are no header that was written by `write`. `view` holds 64 bytes at least.
    init?(_ view: ByteView) {
        func load<Value: FixedWidthInteger>(_ offset: Int, _ type: Value.Type) -> Value {
            Value(littleEndian: view.base.loadUnaligned(fromByteOffset: offset, as: Value.self))
        }
        guard view.count >= Self.bytes, load(0, UInt32.self) == Self.magic, view[5] == 1 else { return nil }
        let zero: UInt8 = 0
        var checksum = CRC64()
        checksum.update(view.slice(0, Self.stateOffset))
        withUnsafeBytes(of: zero) { if let base = $0.baseAddress { checksum.update(ByteView(base, 1)) } }
        checksum.update(view.slice(Self.stateOffset + 1, 56))
        guard checksum.value == load(56, UInt64.self) else { return nil }
        // A state byte that is neither was damaged: sending the block again is the safe reading.
        isAcknowledged = view[Self.stateOffset] == Self.acknowledged
        tagLength = Int(load(6, UInt16.self))
        payloadLength = Int(load(8, UInt32.self))
        unpackedLength = Int(load(12, UInt32.self))
        records = Int(load(16, UInt32.self))
        sequence = load(24, UInt64.self)
        chunkID = (load(32, UInt64.self), load(40, UInt64.self))
        contentChecksum = load(48, UInt64.self)
        guard tagLength <= Self.longestTag, payloadLength <= Self.largestPayload,
            unpackedLength <= Self.largestUnpacked
        else { return nil }
    }

    init(
        tagLength: Int, payloadLength: Int, unpackedLength: Int, records: Int, sequence: UInt64,
        chunkID: (UInt64, UInt64), contentChecksum: UInt64
    ) {
        isAcknowledged = false
        self.tagLength = tagLength
        self.payloadLength = payloadLength
        self.unpackedLength = unpackedLength
        self.records = records
        self.sequence = sequence
        self.chunkID = chunkID
        self.contentChecksum = contentChecksum
    }
}
