import ByteStorage
import Compression
import Testing

@Suite struct CRC64Tests {
    @Test("The published check value comes out") func checkValue() {
        #expect(CRC64.of(ByteView("123456789")) == 0xe9c6_d914_c4b8_d9ca)
        #expect(CRC64.of(ByteView("")) == 0)
    }

    @Test("Every split of an input gives the checksum of the whole, and of a bit-by-bit computation")
    func splits() {
        var bytes: [UInt8] = []
        for index in 0..<67 { bytes.append(UInt8(truncatingIfNeeded: index &* 151 &+ 7)) }
        var reference: UInt64 = 0
        for byte in bytes {
            reference ^= UInt64(byte)
            for _ in 0..<8 {
                reference = reference & 1 == 1 ? (reference >> 1) ^ 0x95ac_9329_ac4b_c9b5 : reference >> 1
            }
        }
        for split in 0...bytes.count {
            var crc = CRC64()
            bytes.withView {
                crc.update($0.slice(0, split))
                crc.update($0.slice(split, $0.count))
            }
            #expect(crc.value == reference)
        }
    }
}
