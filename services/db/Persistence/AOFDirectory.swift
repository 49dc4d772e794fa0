import ByteStorage
import CLinux

// The folder of an append-only log: its manifest, and the way into it from the single file of older servers.

public struct AOFDirectory: Sendable {
    /// `dir`: where the single file of an older server would be.
    public let dataFolder: String
    /// `appenddirname`
    public let folderName: String
    /// `appendfilename`: the start of every file's name.
    public let fileName: String
    public var calls: FileCalls

    public init(
        dataFolder: String, folderName: String = "appendonlydir", fileName: String = "appendonly.aof",
        calls: FileCalls = .system
    ) {
        self.dataFolder = dataFolder
        self.folderName = folderName
        self.fileName = fileName
        self.calls = calls
    }

    public var path: String { "\(dataFolder)/\(folderName)" }
    public var manifestName: String { "\(fileName).manifest" }
    /// Where the base of a rewrite grows until it is whole.
    public var temporaryBaseName: String { "temp-rewriteaof.base" }

    public func path(of entry: AOFManifest.Entry) -> String { "\(path)/\(entry.name)" }

    /// Makes the folder if needed, reads the manifest, and takes in the single file of an older server.
    ///
    /// A plain `appendonly.aof` in the data folder becomes the base, when there is no manifest yet. The manifest is
    /// written before the file is moved; a crash between the two is seen at the next start by a base that is missing
    /// here and present there.
    /// - Returns: the manifest; empty when there is no log yet.
    public func open() throws(PersistenceError) -> AOFManifest {
        if mkdir(path, Files.folderMode) == 0 {
            try Files.synchronize(folder: dataFolder, calls)
        } else if cl_errno() != EEXIST {
            throw .system("mkdir", path)
        }
        let manifestPath = "\(path)/\(manifestName)"
        removeTemporaryFiles()
        let singleFile = "\(dataFolder)/\(fileName)"
        guard Files.exists(manifestPath) else {
            guard Files.exists(singleFile) else { return AOFManifest() }
            var manifest = AOFManifest()
            manifest.base = AOFManifest.Entry(name: fileName, sequence: 1, role: .base)
            try persist(manifest)
            try takeIn(singleFile)
            return manifest
        }
        let manifest: AOFManifest
        do {
            manifest = try AOFManifest.parse(
                try Files.contents(of: manifestPath, limit: AOFManifest.maximumBytes))
        } catch {
            var error = error
            error.file = manifestPath
            throw error
        }
        if let base = manifest.base, base.name == fileName, manifest.increments.isEmpty,
            !Files.exists(path(of: base)), Files.exists(singleFile)
        {
            try takeIn(singleFile)
        }
        return manifest
    }

    private func takeIn(_ singleFile: String) throws(PersistenceError) {
        try Files.rename(singleFile, "\(path)/\(fileName)")
        try Files.synchronize(folder: path, calls)
        try Files.synchronize(folder: dataFolder, calls)
    }

    private func removeTemporaryFiles() {
        unlink("\(path)/temp-\(manifestName)")
        unlink("\(path)/\(temporaryBaseName)")
    }

    /// Writes the manifest durably, in place of the old one.
    public func persist(_ manifest: AOFManifest) throws(PersistenceError) {
        try Files.replace(manifestName, in: path, with: manifest.render(), calls)
    }

    /// Removes the files that are history, and then their lines. A file that is already gone does not matter.
    public func deleteHistory(_ manifest: inout AOFManifest) throws(PersistenceError) {
        guard !manifest.history.isEmpty else { return }
        for entry in manifest.history { unlink(path(of: entry)) }
        var without = manifest
        without.history = []
        try persist(without)
        manifest = without
    }
}
