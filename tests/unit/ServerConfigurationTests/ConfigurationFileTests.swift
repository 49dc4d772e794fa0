import Glibc
import Testing

@testable import ServerConfiguration

@Suite("Configuration files") final class ConfigurationFileTests {
    let folder: String

    init() throws {
        var template = Array("/tmp/dssm-conf-XXXXXX".utf8CString)
        folder = String(cString: try #require(mkdtemp(&template)))
    }

    deinit {
        var found = glob_t()
        if glob("\(folder)/*", 0, nil, &found) == 0, let paths = found.gl_pathv {
            for index in 0..<Int(found.gl_pathc) { if let path = paths[index] { unlink(path) } }
        }
        globfree(&found)
        rmdir(folder)
    }

    func write(_ name: String, _ text: String) throws -> String {
        try ConfigurationFile.write("\(folder)/\(name)", Array(text.utf8))
        return "\(folder)/\(name)"
    }

    func message(_ body: () throws(ConfigurationError) -> Void) -> String? {
        do throws(ConfigurationError) {
            try body()
            return nil
        } catch { return error.description }
    }

    @Test("Directives come with file and line, comments and blank lines do not")
    func parsing() throws {
        let text = "# comment\n\nPORT 6379\r\n   \n\t# more\n  save 900 1\nrequirepass \"a b\""
        let directives = try ConfigurationText.parse(Array(text.utf8), file: "x.conf")
        #expect(directives.map(\.name) == ["port", "save", "requirepass"])
        #expect(directives.map(\.line) == [3, 6, 7])
        #expect(directives.map(\.arguments) == [["6379"], ["900", "1"], ["a b"]])
        #expect(
            message { () throws(ConfigurationError) in
                _ = try ConfigurationText.parse(Array("port 1\nsave \"".utf8), file: "x.conf")
            } == "x.conf:2: unbalanced quotes")
        #expect(
            message { () throws(ConfigurationError) in
                _ = try directives[1].single()
            } == "x.conf:6: 'save': wrong number of arguments (2, expected 1)")
        #expect(
            message { () throws(ConfigurationError) in
                _ = try directives[2].single { text throws(ConfigurationValueError) in
                    try ConfigurationValue.boolean(text)
                }
            } == "x.conf:7: 'requirepass': argument must be 'yes' or 'no'")
    }

    @Test("Included files stand in the place of their include, wildcards in the order of names")
    func include() throws {
        _ = try write("part-b.inc", "b 1\n")
        _ = try write("part-a.inc", "a 1\n")
        let main = try write("main.conf", "first 1\ninclude \(folder)/part-*.inc \(folder)/none-*.inc\nlast 1\n")
        #expect(try ConfigurationFile.load(main).map(\.name) == ["first", "a", "b", "last"])
        #expect(try ConfigurationFile.load(main)[1].file == "\(folder)/part-a.inc")
    }

    @Test("A missing or circular include, and an error inside one, are named with their place")
    func includeErrors() throws {
        let missing = try write("missing.conf", "\ninclude \(folder)/nowhere.conf\n")
        #expect(
            message { () throws(ConfigurationError) in _ = try ConfigurationFile.load(missing) }
                == "\(missing):2: 'include': \(folder)/nowhere.conf: cannot be opened: No such file or directory")
        let circle = "\(folder)/circle.conf"
        _ = try write("circle.conf", "include \(circle)\n")
        #expect(
            message { () throws(ConfigurationError) in _ = try ConfigurationFile.load(circle) }?
                .contains("included in a circle") == true)
        let bad = try write("bad.inc", "a\nb \"\n")
        let outer = try write("outer.conf", "include \(bad)\n")
        #expect(
            message { () throws(ConfigurationError) in _ = try ConfigurationFile.load(outer) }
                == "\(bad):2: unbalanced quotes")
        #expect(
            message { () throws(ConfigurationError) in _ = try ConfigurationFile.load("\(folder)/no.conf") }
                == "\(folder)/no.conf: cannot be opened: No such file or directory")
    }

    @Test("Writing replaces the file, keeps its mode and follows a link")
    func writing() throws {
        let path = try write("a.conf", "old")
        #expect(chmod(path, 0o640) == 0)
        let link = "\(folder)/link.conf"
        #expect(symlink(path, link) == 0)
        try ConfigurationFile.write(link, Array("new".utf8))
        #expect(try ConfigurationFile.read(path) == Array("new".utf8))
        var status = stat()
        #expect(lstat(link, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK)
        #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o640)
        try ConfigurationFile.write("\(folder)/new.conf", [1], mode: 0o600)
        #expect(stat("\(folder)/new.conf", &status) == 0 && status.st_mode & 0o777 == 0o600)
        #expect(
            message { () throws(ConfigurationError) in
                try ConfigurationFile.write("\(self.folder)/no/such.conf", [1])
            }?.contains("cannot be created: No such file or directory") == true)
    }
}
