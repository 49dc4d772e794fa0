// What follows from a CONFIG SET beyond the value itself.

import DatabaseReplication

extension Server {
    func settingsChanged(from old: ServerSettings) {
        if settings.backlogBytes != old.backlogBytes { backlog?.resize(settings.backlogBytes) }
        if settings.writeQuorum != old.writeQuorum { restartQuorum() }
        if settings.maxClients != old.maxClients { Server.raiseDescriptorLimit(for: settings.maxClients) }
    }
}
