// From lines to blocks on disk, and the positions behind them.
import ByteStorage
import CLinux
import Logging
import Reactor
import Telemetry

extension ForwarderService: LineReceiver {
    /// Nothing more is read while the buffer cannot take it.
    public var isPaused: Bool { retryBufferAt != nil }

    public func take(_ line: ByteView, input: Int) {
        statistics.records &+= 1
        statistics.recordBytes &+= UInt64(line.count)
        chunks[input].encoder.append(line, now: time, into: chunks[input].entries)
        chunks[input].records &+= 1
        if chunks[input].entries.count >= settings.chunkBytes, retryBufferAt == nil { _ = seal(input) }
    }

    /// Makes a block of an input's open chunk. False: the buffer cannot take it now, and the chunk stays.
    private func seal(_ input: Int) -> Bool {
        guard chunks[input].records > 0 else { return true }
        do throws(FileFailure) {
            try buffer.append(
                tag: settings.inputs[input].tag, entries: chunks[input].entries.view, records: chunks[input].records)
        } catch {
            bufferFailed(error)
            return false
        }
        if retryBufferAt != nil {
            retryBufferAt = nil
            log.event(.notice, "buffer-works", "The buffer can be written again, reading goes on")
        }
        chunks[input].entries.removeAll()
        chunks[input].entries.shrink(to: 2 * settings.chunkBytes)
        chunks[input].records = 0
        pump()
        return true
    }

    private func bufferFailed(_ failure: FileFailure) {
        statistics.bufferFailures += 1
        buffer.releaseSpace()
        if retryBufferAt == nil {
            log.event(
                .warning, "buffer-failed",
                "The buffer cannot be written, no more is read until it can: \(failure)",
                ["disk_full": failure.isFull ? "yes" : "no"])
            for connection in lineConnections.values { connection.connection.setReadingPaused(true) }
        }
        retryBufferAt = Reactor.monotonicMilliseconds() + 1000
    }

    /// Stores all open chunks, syncs, and only then writes the positions.
    func checkpoint() {
        if let retryAt = retryBufferAt, Reactor.monotonicMilliseconds() < retryAt, shutdownDeadline == nil { return }
        let wasPaused = isPaused
        for input in chunks.indices where !seal(input) { return }
        retryBufferAt = nil
        if wasPaused { for connection in lineConnections.values { connection.connection.setReadingPaused(false) } }
        do throws(FileFailure) {
            try buffer.sync()
        } catch {
            return bufferFailed(error)
        }
        acknowledgeStandardInput()
        savePositions()
    }

    private func savePositions() {
        let positions = follower.positions(wallSeconds: time.seconds)
        guard positions != savedPositions else { return }
        do throws(FileFailure) {
            try PositionFile.save(positions, to: settings.stateDirectory + "/positions")
            savedPositions = positions
            if positionsProblem { log.event(.notice, "positions-saved", "Positions can be written again") }
            positionsProblem = false
        } catch {
            statistics.positionFailures += 1
            if !positionsProblem {
                log.event(.warning, "positions-failed", "Positions cannot be written, the old ones stay: \(error)")
            }
            positionsProblem = true
        }
    }

    /// Tells of records that were lost because the bound was reached, once a second at most.
    func reportDrops() {
        let dropped = buffer.statistics.droppedRecords
        guard dropped > reportedDrops else { return }
        log.event(
            .warning, "records-dropped", "The oldest records were dropped",
            [
                "records": "\(dropped - reportedDrops)", "total": "\(dropped)",
                "damaged_blocks": "\(buffer.statistics.damagedBlocks)",
                "maximum_bytes": "\(settings.bufferMaximumBytes)",
            ])
        reportedDrops = dropped
    }
}
