import Testing

@testable import TLS

@Suite struct SHA512Tests {
    @Test("The digests are those of the standard's examples")
    func examples() {
        #expect(
            SHA512.hexadecimal(Array("abc".utf8))
                == "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                + "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f")
        #expect(SHA512.hexadecimal([])?.hasPrefix("cf83e1357eefb8bdf1542850d66d8007") == true)
    }
}
