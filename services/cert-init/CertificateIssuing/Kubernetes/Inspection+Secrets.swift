import KubernetesAPI
import TLS

extension Inspection {
    /// Looks at the Secrets of namespaces. Those that hold nothing and are not needed are left out.
    ///
    /// - Throws: `KubernetesError`.
    public static func ofSecrets(_ namespaces: [String], _ client: KubernetesClient) async throws -> Inspection {
        var sources: [Source] = []
        for namespace in namespaces {
            for kind in SecretKind.allCases {
                let name = "\(namespace)/\(kind.name)"
                guard let object = try await client.find(.secrets, kind.name, namespace: namespace) else {
                    if kind == .certificates || kind == .keys {
                        sources.append((name, .failure(TLSError(.unreadableFile, "\(name): there is no such Secret"))))
                    }
                    continue
                }
                for (item, pem) in SecretStore.state(of: object).items.sorted(by: { $0.key < $1.key }) {
                    sources.append(("\(name)/\(item)", .success(pem)))
                }
            }
        }
        return Inspection(sources: sources)
    }
}
