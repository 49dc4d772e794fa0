import KubernetesAPI
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1

/// Reads one request after the other from a connection and answers it.
final class RequestHandler: ChannelInboundHandler, Sendable {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let box: Box
    private let head = NIOLoopBoundBoxHolder<HTTPRequestHead>()
    private let body = NIOLoopBoundBoxHolder<ByteBuffer>()

    init(_ box: Box) { self.box = box }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head.value = head
            body.value = ByteBuffer()
        case .body(var part): body.value?.writeBuffer(&part)
        case .end:
            guard let head = head.value, let server = box.server.withLockedValue({ $0 }) else {
                return context.close(promise: nil)
            }
            guard let response = server.serve(RequestHandler.request(head, body.value), on: context.channel) else {
                return
            }
            answer(response, context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private static func request(_ head: HTTPRequestHead, _ body: ByteBuffer?) -> KubernetesTestServer.Request {
        let parts = head.uri.split(separator: "?", maxSplits: 1)
        var query: [String: String] = [:]
        for item in (parts.count > 1 ? parts[1] : "").split(separator: "&") {
            let pair = item.split(separator: "=", maxSplits: 1)
            query[String(pair[0])] = pair.count > 1 ? decoded(pair[1]) : ""
        }
        let bytes = body.map { Array($0.readableBytesView) } ?? []
        return KubernetesTestServer.Request(
            method: head.method.rawValue, path: decoded(parts[0]), query: query,
            contentType: head.headers.first(name: "Content-Type") ?? "",
            authorization: head.headers.first(name: "Authorization"),
            body: bytes.isEmpty ? nil : try? JSON(parsing: bytes))
    }

    private static func decoded(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private func answer(_ response: KubernetesTestServer.Response, _ context: ChannelHandlerContext) {
        if response.isCut { return context.close(promise: nil) }
        let bytes = response.body.bytes
        var head = HTTPResponseHead(version: .http1_1, status: .init(statusCode: response.status))
        head.headers.add(name: "Content-Type", value: "application/json")
        head.headers.add(name: "Content-Length", value: "\(bytes.count)")
        if let seconds = response.retryAfter { head.headers.add(name: "Retry-After", value: "\(seconds)") }
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: bytes)))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    // MARK: Watches

    static func beginStream(on channel: any Channel) {
        var head = HTTPResponseHead(version: .http1_1, status: .ok)
        head.headers.add(name: "Content-Type", value: "application/json")
        head.headers.add(name: "Transfer-Encoding", value: "chunked")
        channel.writeAndFlush(HTTPServerResponsePart.head(head), promise: nil)
    }

    static func sendLine(_ json: JSON, on channel: any Channel) {
        let part = HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(bytes: json.bytes + [UInt8(ascii: "\n")])))
        channel.writeAndFlush(part, promise: nil)
    }
}

/// A value that only the channel's event loop touches.
final class NIOLoopBoundBoxHolder<Value>: @unchecked Sendable {
    // SAFETY: a handler's methods run on its channel's event loop only.
    var value: Value?
}
