import NIOSSL

extension ServerConfiguration.TLSFiles {
    /// What is wrong with the files' contents. Never holds any of them.
    package enum Mistake: Error, Sendable, Equatable, CustomStringConvertible {
        case certificate
        case key
        /// Each is as it should be, but they do not belong together.
        case pair

        package var description: String {
            switch self {
            case .certificate: "expected a file of PEM certificates (-----BEGIN CERTIFICATE-----), the server's first"
            case .key: "expected a PEM file of a private key without a passphrase (-----BEGIN PRIVATE KEY-----)"
            case .pair: "this is not the key of the certificate"
            }
        }
    }

    /// Throws what is wrong with the contents of the two files.
    package static func check(certificate: String, key: String) throws(Mistake) {
        _ = try context(certificate: Array(certificate.utf8), key: Array(key.utf8))
    }

    /// What a listener serves with. Reads the files.
    func context() throws -> NIOSSLContext {
        let certificates = try NIOSSLCertificate.fromPEMFile(certificate)
        return try Self.context(certificates, try NIOSSLPrivateKey(file: key, format: .pem))
    }

    private static func context(certificate: [UInt8], key: [UInt8]) throws(Mistake) -> NIOSSLContext {
        guard let certificates = try? NIOSSLCertificate.fromPEMBytes(certificate), !certificates.isEmpty else {
            throw .certificate
        }
        guard let key = try? NIOSSLPrivateKey(bytes: key, format: .pem) else { throw .key }
        do { return try context(certificates, key) } catch { throw .pair }
    }

    private static func context(_ certificates: [NIOSSLCertificate], _ key: NIOSSLPrivateKey) throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: certificates.map { .certificate($0) }, privateKey: .privateKey(key))
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = ["http/1.1"]
        return try NIOSSLContext(configuration: configuration)
    }
}
