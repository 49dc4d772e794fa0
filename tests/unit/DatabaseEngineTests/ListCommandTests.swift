import ByteStorage
import Testing

@testable import DatabaseEngine

private let wrongType = "-WRONGTYPE Operation against a key holding the wrong kind of value"
private let notInteger = "-ERR value is not an integer or out of range"

@Suite("List commands")
struct ListCommandTests {
    let run = CommandRunner()

    // MARK: Pushing and popping

    @Test("LPUSH and RPUSH add in the order of the arguments, LPUSHX and RPUSHX only to a list that is there")
    func pushing() {
        #expect(run("LPUSHX l a") == ":0")
        #expect(run("RPUSHX l a b") == ":0")
        #expect(run("EXISTS l") == ":0")
        #expect(run("LPUSH l a b c") == ":3")
        #expect(run("RPUSH l d e") == ":5")
        #expect(run("LPUSHX l f g") == ":7")
        #expect(run("RPUSHX l h") == ":8")
        #expect(run("LRANGE l 0 -1") == "[g f c b a d e h]")
        #expect(run("LLEN l") == ":8")
        #expect(run("LLEN none") == ":0")
        #expect(run("TYPE l") == "+list")
    }

    @Test("Pops with and without a count have their own forms of nothing")
    func popping() {
        #expect(run("LPOP l") == "nil")
        #expect(run("LPOP l 2") == "*nil")
        #expect(run("RPOP l 0") == "*nil")
        run("RPUSH l a b c d e f")
        #expect(run("LPOP l") == "a")
        #expect(run("RPOP l") == "f")
        #expect(run("LPOP l 0") == "[]")
        #expect(run("LPOP l 2") == "[b c]")
        #expect(run("RPOP l 100") == "[e d]")
        #expect(run("EXISTS l") == ":0")
        run("RPUSH l a")
        run.isRESP3 = true
        #expect(run("LPOP none") == "_")
        #expect(run("LPOP none 1") == "_")
        #expect(run("RPOP l 1") == "[a]")
    }

    @Test("The count of a pop must be a number from 0", arguments: ["-1", "x", "1.5", "9223372036854775808"])
    func badPopCount(count: String) {
        #expect(run("LPOP l \(count)") == "-ERR value is out of range, must be positive")
        #expect(run("RPOP l \(count)") == "-ERR value is out of range, must be positive")
    }

    @Test("A pop with too many arguments is refused")
    func popArity() {
        #expect(run("LPOP l 1 2") == "-ERR wrong number of arguments for 'lpop' command")
        #expect(run("RPOP l 1 2") == "-ERR wrong number of arguments for 'rpop' command")
    }

    @Test("Every command refuses a key that is no list")
    func wrongTypes() {
        run("SET s x")
        run("RPUSH l a")
        for line in [
            "LPUSH s a", "RPUSH s a", "LPUSHX s a", "RPUSHX s a", "LPOP s", "RPOP s", "LPOP s 0", "LLEN s",
            "LINDEX s 0",
            "LINDEX s x", "LSET s 0 a", "LSET s x a", "LRANGE s 0 -1", "LINSERT s BEFORE a b", "LREM s 0 a",
            "LTRIM s 0 1",
            "LPOS s a", "LPOS s a COUNT 0", "LMOVE s l LEFT LEFT", "LMOVE l s LEFT LEFT", "RPOPLPUSH s l",
            "RPOPLPUSH l s", "LMPOP 2 none s LEFT", "SORT s", "SORT_RO s", "GET l", "HGET l a", "SADD l a",
        ] {
            #expect(run(line) == wrongType, "\(line)")
        }
        #expect(run("LMPOP 2 l s LEFT") == "[l [a]]")
    }

    // MARK: Reading

    @Test("LRANGE clamps its range and counts negative indexes from the tail")
    func ranges() {
        run("RPUSH l a b c d e")
        #expect(run("LRANGE l 1 3") == "[b c d]")
        #expect(run("LRANGE l -2 100") == "[d e]")
        #expect(run("LRANGE l -100 0") == "[a]")
        #expect(run("LRANGE l 3 1") == "[]")
        #expect(run("LRANGE l 5 9") == "[]")
        #expect(run("LRANGE l 0 -6") == "[]")
        #expect(run("LRANGE l -9223372036854775808 9223372036854775807") == "[a b c d e]")
        #expect(run("LRANGE none 0 -1") == "[]")
        #expect(run("LRANGE none x 1") == notInteger)
        #expect(run("LRANGE l 0 1.0") == notInteger)
    }

    @Test("LINDEX counts from both ends")
    func index() {
        run("RPUSH l a b c")
        #expect(run("LINDEX l 0") == "a")
        #expect(run("LINDEX l -1") == "c")
        #expect(run("LINDEX l 3") == "nil")
        #expect(run("LINDEX l -4") == "nil")
        #expect(run("LINDEX l -9223372036854775808") == "nil")
        #expect(run("LINDEX l x") == notInteger)
        #expect(run("LINDEX none x") == "nil")
    }

    @Test("LPOS finds by rank, count and length of search, from both ends")
    func positions() {
        run("RPUSH l a b c 1 2 3 c c")
        #expect(run("LPOS l a") == ":0")
        #expect(run("LPOS l c") == ":2")
        #expect(run("LPOS l x") == "nil")
        #expect(run("LPOS l c RANK 2") == ":6")
        #expect(run("LPOS l c RANK -1") == ":7")
        #expect(run("LPOS l c RANK -3") == ":2")
        #expect(run("LPOS l c RANK 4") == "nil")
        #expect(run("LPOS l c COUNT 2") == "[:2 :6]")
        #expect(run("LPOS l c COUNT 0") == "[:2 :6 :7]")
        #expect(run("LPOS l c COUNT 0 RANK 2") == "[:6 :7]")
        #expect(run("LPOS l c COUNT 2 RANK -1") == "[:7 :6]")
        #expect(run("LPOS l c COUNT 0 RANK -2") == "[:6 :2]")
        #expect(run("LPOS l c COUNT 0 MAXLEN 3") == "[:2]")
        #expect(run("LPOS l c COUNT 0 MAXLEN 2") == "[]")
        #expect(run("LPOS l c COUNT 0 RANK -1 MAXLEN 1") == "[:7]")
        #expect(run("LPOS l a MAXLEN 0") == ":0")
        #expect(run("LPOS l c COUNT 5 MAXLEN 7 RANK 2") == "[:6]")
        #expect(run("LPOS l x COUNT 1") == "[]")
        #expect(run("LPOS none a") == "nil")
        #expect(run("LPOS none a COUNT 1") == "[]")
        #expect(run("LPOS l c RANK 9223372036854775807") == "nil")
        #expect(run("LPOS l c RANK -9223372036854775807") == "nil")
    }

    @Test("LPOS names what is wrong with its options")
    func positionErrors() {
        run("RPUSH l a")
        #expect(run("LPOS l a RANK 0").hasPrefix("-ERR RANK can't be zero: use 1 to start from the first match"))
        #expect(run("LPOS l a RANK x") == notInteger)
        #expect(
            run("LPOS l a RANK -9223372036854775808")
                == "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807")
        #expect(run("LPOS l a COUNT -1") == "-ERR COUNT can't be negative")
        #expect(run("LPOS l a COUNT x") == "-ERR COUNT can't be negative")
        #expect(run("LPOS l a MAXLEN -1") == "-ERR MAXLEN can't be negative")
        #expect(run("LPOS l a RANK") == "-ERR syntax error")
        #expect(run("LPOS l a FIRST 1") == "-ERR syntax error")
    }

    // MARK: Changing

    @Test("LSET replaces by a shorter, an equal and a longer element")
    func set() {
        #expect(run("LSET l 0 a") == "-ERR no such key")
        run("RPUSH l a b c")
        #expect(run("LSET l 0 longer-than-before") == "+OK")
        #expect(run("LSET l -1 z") == "+OK")
        #expect(run(words: ["LSET", "l", "1", ""]) == "+OK")
        #expect(run.elements("l") == ["longer-than-before", "", "z"])
        #expect(run("LSET l 3 x") == "-ERR index out of range")
        #expect(run("LSET l -4 x") == "-ERR index out of range")
        #expect(run("LSET l x x") == notInteger)
    }

    @Test("LINSERT needs its pivot")
    func insert() {
        #expect(run("LINSERT l BEFORE a b") == ":0")
        run("RPUSH l a b c b")
        #expect(run("LINSERT l before b 1") == ":5")
        #expect(run("LINSERT l AFTER b 2") == ":6")
        #expect(run("LINSERT l BEFORE a 0") == ":7")
        #expect(run("LINSERT l AFTER x 9") == ":-1")
        #expect(run("LINSERT l BESIDE a 9") == "-ERR syntax error")
        #expect(run.elements("l") == ["0", "a", "1", "b", "2", "c", "b"])
    }

    @Test("LREM removes from the head, from the tail or everywhere")
    func removal() {
        run("RPUSH l a b a c a d a")
        #expect(run("LREM l 1 a") == ":1")
        #expect(run("LREM l -1 a") == ":1")
        #expect(run.elements("l") == ["b", "a", "c", "a", "d"])
        #expect(run("LREM l 0 x") == ":0")
        #expect(run("LREM l 0 a") == ":2")
        #expect(run.elements("l") == ["b", "c", "d"])
        #expect(run("LREM none 0 a") == ":0")
        #expect(run("LREM l x a") == notInteger)
        run("RPUSH m a a a")
        #expect(run("LREM m -2 a") == ":2")
        #expect(run("LREM m 5 a") == ":1")
        #expect(run("EXISTS m") == ":0")
    }

    @Test("LTRIM keeps a range, and nothing left deletes the key")
    func trim() {
        run("RPUSH l a b c d e")
        #expect(run("LTRIM l 1 -2") == "+OK")
        #expect(run.elements("l") == ["b", "c", "d"])
        #expect(run("LTRIM l -100 100") == "+OK")
        #expect(run.elements("l") == ["b", "c", "d"])
        #expect(run("LTRIM l 2 1") == "+OK")
        #expect(run("EXISTS l") == ":0")
        #expect(run("LTRIM none 0 1") == "+OK")
        #expect(run("LTRIM none x 1") == notInteger)
    }

    // MARK: Between lists

    @Test("LMOVE and RPOPLPUSH move between lists and within one")
    func moving() {
        run("RPUSH a 1 2 3")
        #expect(run("LMOVE a b LEFT RIGHT") == "1")
        #expect(run("LMOVE a b right left") == "3")
        #expect(run("LRANGE b 0 -1") == "[3 1]")
        #expect(run("RPOPLPUSH a b") == "2")
        #expect(run("EXISTS a") == ":0")
        #expect(run("LRANGE b 0 -1") == "[2 3 1]")
        #expect(run("RPOPLPUSH b b") == "1")
        #expect(run("LMOVE b b LEFT RIGHT") == "1")
        #expect(run("LMOVE b b LEFT LEFT") == "2")
        #expect(run("LRANGE b 0 -1") == "[2 3 1]")
        #expect(run("LMOVE none b LEFT LEFT") == "nil")
        #expect(run("RPOPLPUSH none b") == "nil")
        #expect(run("LMOVE a b UP LEFT") == "-ERR syntax error")
        #expect(run("LMOVE a b LEFT DOWN") == "-ERR syntax error")
        run("RPUSH single x")
        #expect(run("LMOVE single single LEFT RIGHT") == "x")
        #expect(run.elements("single") == ["x"])
    }

    @Test("An element of any length survives a rotation within its own list")
    func rotation() {
        let long = String(repeating: "y", count: 9000)
        run(words: ["RPUSH", "l", "a", long, "b"])
        for _ in 0..<7 { run("LMOVE l l RIGHT LEFT") }
        let isRotated = run.elements("l") == ["b", "a", long]
        #expect(isRotated)
    }

    @Test("LMPOP pops from the first list that is there")
    func multiplePop() {
        run("RPUSH b 1 2 3 4 5")
        #expect(run("LMPOP 2 a b LEFT") == "[b [1]]")
        #expect(run("LMPOP 2 a b RIGHT COUNT 2") == "[b [5 4]]")
        #expect(run("LMPOP 1 b left count 100") == "[b [2 3]]")
        #expect(run("LMPOP 2 a b LEFT") == "*nil")
        #expect(run("EXISTS b") == ":0")
    }

    @Test(
        "LMPOP names what is wrong",
        arguments: [
            ("0 k LEFT", "-ERR numkeys should be greater than 0"),
            ("x k LEFT", "-ERR numkeys should be greater than 0"),
            ("-1 k LEFT", "-ERR numkeys should be greater than 0"), ("2 k LEFT", "-ERR syntax error"),
            ("3 k LEFT", "-ERR syntax error"), ("1 k UP", "-ERR syntax error"),
            ("9223372036854775807 k LEFT", "-ERR syntax error"),
            ("1 k LEFT COUNT 0", "-ERR count should be greater than 0"),
            ("1 k LEFT COUNT x", "-ERR count should be greater than 0"), ("1 k LEFT COUNT", "-ERR syntax error"),
            ("1 k LEFT COUNT 1 COUNT 2", "-ERR syntax error"), ("1 k LEFT LIMIT 1", "-ERR syntax error"),
        ])
    func multiplePopErrors(arguments: String, error: String) {
        run("RPUSH k a")
        #expect(run("LMPOP \(arguments)") == error)
        #expect(run.elements("k") == ["a"])
        #expect(run.tryBlocking("BLMPOP 0 \(arguments)") == error)
    }

    // MARK: Encoding, copying, loading

    @Test("A list is a listpack until it needs a second node or a node beyond the limit")
    func encoding() {
        run("RPUSH l a")
        #expect(run("OBJECT ENCODING l") == "listpack")
        run(words: ["RPUSH", "l"] + (0..<900).map { "element-\($0)" })
        #expect(run("OBJECT ENCODING l") == "quicklist")
        run("LTRIM l 0 5")
        #expect(run("OBJECT ENCODING l") == "listpack")
        run(words: ["RPUSH", "big", String(repeating: "x", count: 9000)])
        #expect(run("OBJECT ENCODING big") == "quicklist")
        run.engine.state.pointee.settings.listMaxCompactSize = 2
        run("RPUSH few a b")
        #expect(run("OBJECT ENCODING few") == "listpack")
        run("RPUSH few c")
        #expect(run("OBJECT ENCODING few") == "quicklist")
    }

    @Test("COPY makes an independent list, RENAME and MOVE keep it whole, expiries included")
    func copying() {
        run(words: ["RPUSH", "l"] + (0..<1200).map { "element-\($0)" })
        run("PEXPIREAT l 1000000005000")
        #expect(run("COPY l m") == ":1")
        #expect(run("PEXPIRETIME m") == ":1000000005000")
        run("LPOP m 1000")
        run("RPUSH m x")
        #expect(run("LLEN l") == ":1200")
        #expect(run("RENAME m n") == "+OK")
        #expect(run.elements("n").count == 201)
        #expect(run("MOVE n 3") == ":1")
        run.database = 3
        #expect(run.elements("n").last == "x")
        #expect(run("RPUSH n y") == ":202")
    }

    @Test("A loaded list replaces its key, and an empty one stores nothing")
    func loading() {
        let engine = run.engine
        let loader = engine.loadListBegin()
        for number in 0..<2000 {
            Array("element-\(number)".utf8).withView { #expect(engine.loadListElement(loader, $0)) }
        }
        run("SET l x")
        engine.loadListEnd(loader, 0, ByteView("l"), expiry: 1_000_000_009_000)
        #expect(run.elements("l") == (0..<2000).map { "element-\($0)" })
        #expect(run("PTTL l") == ":9000")
        engine.loadListEnd(engine.loadListBegin(), 0, ByteView("empty"), expiry: nil)
        #expect(run("EXISTS empty") == ":0")
        engine.loadListAbandon(engine.loadListBegin())
        run("DEL l")
        #expect(engine.slab.state.pointee.allocatedBytes == 0)
    }
}
