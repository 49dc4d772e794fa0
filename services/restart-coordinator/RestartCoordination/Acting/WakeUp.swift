/// Lets one task wait for a time or for a signal, whichever is first. A signal that comes while nobody waits is kept.
actor WakeUp {
    private var isSignalled = false
    private var waiter: CheckedContinuation<Void, Never>?

    func signal() {
        isSignalled = true
        waiter?.resume()
        waiter = nil
    }

    func wait(atMost duration: Duration) async {
        if !isSignalled {
            let timer = Task {
                try await Task.sleep(for: duration)
                self.signal()
            }
            defer { timer.cancel() }
            await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    if Task.isCancelled || isSignalled { continuation.resume() } else { waiter = continuation }
                }
            } onCancel: {
                Task { await self.signal() }
            }
        }
        isSignalled = false
    }
}
