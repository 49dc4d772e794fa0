import ByteStorage
import Testing

@testable import DatabaseEngine

@Suite("What list commands tell log, listeners and waiting clients")
struct ListEffectTests {
    let run = CommandRunner()

    // MARK: Blocking forms

    @Test("Blocking commands would wait on absent lists, and then write nothing")
    func wouldBlock() {
        run.startPropagation()
        run("RPUSH target x")
        _ = run.propagated()
        for line in [
            "BLPOP a b 0", "BRPOP a 0", "BLMOVE a target LEFT RIGHT 0", "BRPOPLPUSH a target 0", "BLMPOP 0 2 a b LEFT",
        ] {
            #expect(run.tryBlocking(line) == nil, "\(line)")
        }
        run("SET string x")
        _ = run.propagated()
        #expect(run.tryBlocking("BLMOVE a string LEFT RIGHT 0") == nil)
        #expect(run.propagated() == [])
        #expect(run.elements("target") == ["x"])
    }

    @Test("A served blocking command is propagated in its non-blocking form")
    func served() {
        run.startPropagation()
        run("RPUSH b 1 2 3 4 5 6 7 8")
        _ = run.propagated()
        #expect(run.tryBlocking("BLPOP a b 0") == "[b 1]")
        #expect(run.tryBlocking("BRPOP b a 1.5") == "[b 8]")
        #expect(run.tryBlocking("BLMOVE b c LEFT RIGHT 0") == "2")
        #expect(run.tryBlocking("BRPOPLPUSH b c 0") == "7")
        #expect(run.tryBlocking("BLMPOP 0 2 a b RIGHT COUNT 3") == "[b [6 5 4]]")
        #expect(run.tryBlocking("BLMPOP 0 2 a b LEFT") == "[b [3]]")
        #expect(
            run.propagated() == [
                "LPOP b", "RPOP b", "LMOVE b c LEFT RIGHT", "RPOPLPUSH b c", "RPOP b 3", "LPOP b 1",
            ])
        #expect(run.elements("c") == ["7", "2"])
        #expect(run("EXISTS b") == ":0")
    }

    @Test("Blocking commands are left to the server, which alone can make a client wait")
    func execution() {
        run("RPUSH l a")
        for line in ["BLPOP l 0", "BRPOP l 0", "BLMOVE l m LEFT LEFT 0", "BRPOPLPUSH l m 0", "BLMPOP 0 1 l LEFT"] {
            #expect(run(line) == "-no engine command", "\(line)")
        }
        #expect(run.elements("l") == ["a"])
    }

    @Test("A blocking command on a key that is no list gets an error at once")
    func wrongTypes() {
        let error = "-WRONGTYPE Operation against a key holding the wrong kind of value"
        run("SET s x")
        run("RPUSH l a b c")
        #expect(run.tryBlocking("BLPOP none s l 0") == error)
        #expect(run.tryBlocking("BRPOP l s 0") == "[l c]")
        #expect(run.tryBlocking("BLMOVE s l LEFT LEFT 0") == error)
        #expect(run.tryBlocking("BLMOVE l s LEFT LEFT 0") == error)
        #expect(run.tryBlocking("BRPOPLPUSH l s 0") == error)
        #expect(run.tryBlocking("BLMPOP 0 1 s LEFT") == error)
        #expect(run.tryBlocking("BLMOVE l m UP LEFT 0") == "-ERR syntax error")
        #expect(run.elements("l") == ["a", "b"])
    }

    @Test("A list that comes to be is reported to those who wait, one that only grows is not")
    func ready() {
        run("RPUSH l a")
        #expect(run.readyKeys() == [])
        run.engine.state.pointee.blockedKeyCount = 1
        run("RPUSH l b")
        #expect(run.readyKeys() == [])
        run("LPUSH m a")
        #expect(run.readyKeys() == ["m"])
        run("LMOVE m n LEFT LEFT")
        #expect(run.readyKeys() == ["n"])
        run("RENAME n o")
        #expect(run.readyKeys() == ["o"])
        run("COPY o p")
        #expect(run.readyKeys() == ["p"])
        run("SORT p ALPHA STORE q")
        #expect(run.readyKeys() == ["q"])
    }

    // MARK: Propagation and events

    @Test("Commands go to the stream as they came, LMPOP as a pop, and what changed nothing not at all")
    func propagation() {
        run.startPropagation()
        run("RPUSH l a b c d e f")
        run("LPOP l 2")
        run("LMPOP 2 none l RIGHT COUNT 2")
        run("LTRIM l 0 -1")
        run("LREM l 0 x")
        run("LINSERT l BEFORE x y")
        run("LPOP l 0")
        run("LPUSHX none a")
        run("LMOVE none l LEFT LEFT")
        run("LMPOP 1 none LEFT")
        run("LSET l 9 x")
        #expect(run.propagated() == ["RPUSH l a b c d e f", "LPOP l 2", "RPOP l 2"])
        run("LMOVE l m LEFT RIGHT")
        run("RPOPLPUSH l m")
        run("LTRIM m 1 0")
        #expect(run.propagated() == ["LMOVE l m LEFT RIGHT", "RPOPLPUSH l m", "LTRIM m 1 0"])
    }

    @Test("Each command has its keyspace event, and the last element takes the key with it")
    func events() {
        run.startEvents()
        func expect(_ line: String, _ events: [String]) {
            run(line)
            #expect(run.events() == events, "\(line)")
        }
        expect("RPUSH l a b c d", ["rpush l"])
        expect("LPUSH l e", ["lpush l"])
        expect("RPUSHX l f", ["rpush l"])
        expect("LPOP l", ["lpop l"])
        expect("RPOP l 2", ["rpop l"])
        expect("LPOP l 0", [])
        expect("LSET l 0 x", ["lset l"])
        expect("LINSERT l AFTER x y", ["linsert l"])
        expect("LREM l 0 y", ["lrem l"])
        expect("LREM l 0 y", [])
        expect("LTRIM l 0 1", ["ltrim l"])
        expect("LMOVE l m LEFT RIGHT", ["rpush m", "lpop l"])
        expect("RPOPLPUSH l m", ["lpush m", "rpop l", "del l"])
        expect("RPOPLPUSH m m", ["lpush m", "rpop m"])
        expect("LMPOP 1 m LEFT COUNT 2", ["lpop m", "del m"])
        run("RPUSH l a")
        _ = run.events()
        expect("LTRIM l 1 0", ["ltrim l", "del l"])
        run("RPUSH l a")
        _ = run.events()
        expect("LREM l 0 a", ["lrem l", "del l"])
        run("RPUSH l 2 1")
        _ = run.events()
        expect("SORT l STORE s", ["sortstore s"])
        expect("SORT none STORE s", ["del s"])
    }
}
