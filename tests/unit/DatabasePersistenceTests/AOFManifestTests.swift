import DatabasePersistence
import Testing

@Suite struct AOFManifestTests {
    @Test("Redis's own manifest is read and rendered to the byte") func exact() throws {
        let text = """
            file appendonly.aof.2.base.rdb seq 2 type b
            file appendonly.aof.1.base.rdb seq 1 type h
            file appendonly.aof.1.incr.aof seq 1 type h
            file appendonly.aof.2.incr.aof seq 2 type i
            file appendonly.aof.10.incr.aof seq 10 type i

            """
        let manifest = try AOFManifest.parse(bytes(text))
        #expect(manifest.base == .init(name: "appendonly.aof.2.base.rdb", sequence: 2, role: .base))
        #expect(manifest.history.map(\.name) == ["appendonly.aof.1.base.rdb", "appendonly.aof.1.incr.aof"])
        #expect(manifest.increments.map(\.sequence) == [2, 10])
        #expect(manifest.loadOrder.map(\.sequence) == [2, 2, 10])
        #expect(String(decoding: manifest.render(), as: UTF8.self) == text)
    }

    @Test("Comments, other orders, other case and unknown keys are accepted") func lenient() throws {
        let manifest = try AOFManifest.parse(
            bytes("# a comment\n  type b  SEQ 3 file x.aof startoffset 7\nfile y seq 1 type i\n"))
        #expect(manifest.base == .init(name: "x.aof", sequence: 3, role: .base))
        #expect(manifest.increments.count == 1)
    }

    @Test("Odd names survive quoting") func quoting() throws {
        for name in ["a b", "quo\"te", "back\\slash", "it's", "tab\tnew\nline", "\u{e4}\u{1}", "plain"] {
            var manifest = AOFManifest()
            _ = manifest.addIncrement(name)
            _ = manifest.replaceBase(name, .rdb, firstIncrement: 1)
            #expect(try AOFManifest.parse(manifest.render()) == manifest, "\(name)")
        }
        var manifest = AOFManifest()
        manifest.base = .init(name: "a \"b\"", sequence: 1, role: .base)
        #expect(manifest.render() == bytes("file \"a \\\"b\\\"\" seq 1 type b\n"))
        #expect(try AOFManifest.parse(bytes("file 'a b' seq 1 type b\n")).base?.name == "a b")
    }

    @Test(
        "Each malformed manifest names its line",
        arguments: [
            "", "\n", "file a seq 1 type b", "file a seq 1\n", "file a seq 1 type\n", "file a seq x type b\n",
            "file a seq 0 type b\n", "file a seq -1 type b\n", "file a seq 1 type z\n", "file ../a seq 1 type b\n",
            "file .. seq 1 type b\n", "file \"\" seq 1 type b\n", "file \"a seq 1 type b\n",
            "file \"a\"b seq 1 type b\n",
            "file a seq 1 type b\nfile b seq 1 type b\n", "file a seq 2 type i\nfile b seq 2 type i\n",
            "file a seq 2 type i\nfile b seq 1 type i\n", "name a seq 1 type b\n",
            "file " + String(repeating: "x", count: 1100) + " seq 1 type b\n", "# only a comment\n",
        ])
    func malformed(text: String) {
        #expect {
            try AOFManifest.parse(bytes(text))
        } throws: { error in
            (error as? PersistenceError)?.code == .damaged
        }
    }

    @Test("Any cut and any changed byte is an error or a manifest that renders") func damage() {
        let text = bytes("file \"a b\" seq 2 type b\nfile c seq 10 type i\n")
        for index in text.indices {
            if let cut = try? AOFManifest.parse([UInt8](text.prefix(index))) {
                #expect(index == 24 && cut.increments.isEmpty)
            }
            for flip in [1, 2, 16, 128, 255] as [UInt8] {
                var damaged = text
                damaged[index] ^= flip
                if let manifest = try? AOFManifest.parse(damaged) {
                    #expect((try? AOFManifest.parse(manifest.render())) == manifest)
                }
            }
        }
    }

    @Test("A rewrite turns the old files into history and keeps the increments from its beginning on")
    func rewrite() {
        var manifest = AOFManifest()
        #expect(manifest.addIncrement("a").name == "a.1.incr.aof")
        #expect(manifest.replaceBase("a", .aof, firstIncrement: 1).name == "a.1.base.aof")
        #expect(manifest.addIncrement("a").sequence == 2)
        #expect(manifest.addIncrement("a").sequence == 3)
        #expect(manifest.replaceBase("a", .rdb, firstIncrement: 3).name == "a.2.base.rdb")
        #expect(manifest.increments.map(\.sequence) == [3])
        #expect(manifest.history.map(\.name) == ["a.1.base.aof", "a.1.incr.aof", "a.2.incr.aof"])
    }
}

@Suite struct AOFDirectoryTests {
    @Test("A new folder has an empty manifest, and a written one is found again") func fresh() throws {
        let folder = try TemporaryFolder()
        let directory = AOFDirectory(dataFolder: folder.root)
        var manifest = try directory.open()
        #expect(manifest.isEmpty && folder.exists("appendonlydir"))
        _ = manifest.addIncrement(directory.fileName)
        try directory.persist(manifest)
        #expect(try directory.open() == manifest)
        #expect(folder.names("appendonlydir") == ["appendonly.aof.manifest"])
    }

    @Test("The single file of an older server becomes the base, also after a crash half-way") func upgrade() throws {
        for crash in [false, true] {
            let folder = try TemporaryFolder()
            let directory = AOFDirectory(dataFolder: folder.root)
            try folder.write(bytes("*1\r\n$4\r\nPING\r\n"), "appendonly.aof")
            if crash {
                _ = try directory.open()
                // As if the rename had not happened yet.
                try folder.write(folder.read("appendonlydir/appendonly.aof"), "appendonly.aof")
                try folder.delete("appendonlydir/appendonly.aof")
            }
            let manifest = try directory.open()
            #expect(manifest.base == .init(name: "appendonly.aof", sequence: 1, role: .base))
            #expect(!folder.exists("appendonly.aof") && folder.exists("appendonlydir/appendonly.aof"))
            var sink = ModelSink()
            let report = try AOFLoader(directory: directory).load(manifest, into: &sink)
            #expect(report.commands == 1 && sink.commands == [["PING"]])
        }
    }

    @Test("A damaged manifest stops the start, with its path") func damaged() throws {
        let folder = try TemporaryFolder()
        let directory = AOFDirectory(dataFolder: folder.root)
        _ = try directory.open()
        try folder.write(bytes("file a seq 1"), "appendonlydir/appendonly.aof.manifest")
        #expect {
            try directory.open()
        } throws: { error in
            (error as? PersistenceError)?.file == folder.path("appendonlydir/appendonly.aof.manifest")
        }
    }

    @Test("A manifest that cannot be written leaves the old one") func failingReplace() throws {
        let folder = try TemporaryFolder()
        let faults = Faults()
        let directory = AOFDirectory(dataFolder: folder.root, calls: faults.calls)
        var manifest = try directory.open()
        _ = manifest.addIncrement("appendonly.aof")
        try directory.persist(manifest)
        let before = manifest
        _ = manifest.addIncrement("appendonly.aof")
        faults.set { $0.writeError = 28 }
        #expect(throws: PersistenceError.self) { try directory.persist(manifest) }
        faults.set { $0 = .init(synchronizeError: 5) }
        #expect(throws: PersistenceError.self) { try directory.persist(manifest) }
        #expect(try directory.open() == before)
        #expect(folder.names("appendonlydir") == ["appendonly.aof.manifest"])
    }
}
