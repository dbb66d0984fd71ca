/// The rule for names of users and keys.
///
/// Names are compared byte by byte: case counts, and two spellings of one letter that look alike differ. What cannot
/// be seen (control and format characters, unassigned ones) is refused, so that no name passes for another that way.
enum StoredName {
    /// In Unicode scalars, as MariaDB counts a VARCHAR's length.
    static let maximumLength = 64

    /// The name itself, or ``KeyStoreError/invalidName``.
    static func checked(_ name: String) throws(KeyStoreError) -> String {
        let scalars = name.unicodeScalars
        guard (1...maximumLength).contains(scalars.count), scalars.allSatisfy(isPrintable), scalars.first != " ",
            scalars.last != " "
        else { throw .invalidName }
        return name
    }

    private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: false
        case .spaceSeparator: scalar == " "
        default: true
        }
    }
}
