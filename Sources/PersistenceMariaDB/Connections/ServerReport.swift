import Persistence

/// What a server says about itself, judged: whether it can be used, and which of its settings break the promise that
/// what is committed stays.
struct ServerReport: Equatable {
    /// The variables that are asked for.
    static let variables = [
        "version", "version_comment", "max_allowed_packet", "read_only", "innodb_flush_log_at_trx_commit",
        "innodb_doublewrite", "innodb_force_recovery", "innodb_read_only", "log_bin", "sync_binlog", "binlog_format",
        "default_storage_engine", "wsrep_on", "innodb_flush_method",
    ]
    static let clusterStatus = ["wsrep_ready", "wsrep_cluster_status", "wsrep_local_state_comment"]

    /// By lower-case name.
    let values: [String: String]

    /// Whether it is a node of a Galera cluster.
    var isClusterNode: Bool { values["wsrep_on"]?.uppercased() == "ON" }

    var isReadOnly: Bool { isOn("read_only") || isOn("innodb_read_only") }

    /// Without an answer MariaDB's own default.
    var packetLimit: Int { values["max_allowed_packet"].flatMap { Int($0) } ?? 16 << 20 }

    /// Why it cannot be used now; nil when it can.
    var refusal: DatabaseError? {
        guard isMariaDB else { return DatabaseError(.refuse, "the server is no MariaDB") }
        if isReadOnly {
            return DatabaseError(.unavailable, "the server is read-only")
        }
        guard isClusterNode else { return nil }
        guard isOn("wsrep_ready"), has("wsrep_cluster_status", "Primary"), has("wsrep_local_state_comment", "Synced")
        else {
            return DatabaseError(.unavailable, "the node is not a synchronised member of its cluster's primary part")
        }
        return nil
    }

    /// What an operator should change, a sentence each.
    var problems: [String] { [versionProblem, packetProblem].compactMap { $0 } + durabilityProblems }

    private var durabilityProblems: [String] {
        var problems: [String] = []
        if let value = values["innodb_flush_log_at_trx_commit"], value != "1" {
            problems.append(
                "innodb_flush_log_at_trx_commit is \(value): a crash of the server's machine loses turns (set it to 1)")
        }
        if has("innodb_doublewrite", "OFF") || has("innodb_doublewrite", "0") {
            problems.append("innodb_doublewrite is off: a loss of power can tear pages (set it to ON)")
        }
        if has("innodb_flush_method", "nosync") {
            problems.append("innodb_flush_method is nosync: a crash of the server's machine loses turns")
        }
        if isOn("log_bin"), let value = values["sync_binlog"], value != "1" {
            problems.append(
                "sync_binlog is \(value) and the binary log is on: a crash of the server's machine loses turns "
                    + "(set it to 1)")
        }
        if isOn("log_bin"), has("binlog_format", "STATEMENT") {
            problems.append("binlog_format is STATEMENT: the server refuses writes (set it to ROW or MIXED)")
        }
        if let value = values["innodb_force_recovery"], value != "0" {
            problems.append("innodb_force_recovery is \(value): the server is under repair")
        }
        if let value = values["default_storage_engine"], value.lowercased() != "innodb" {
            problems.append("default_storage_engine is \(value): tables of plugins may be lost in a crash (use InnoDB)")
        }
        return problems
    }

    private var versionProblem: String? {
        guard let version, version < [10, 11] else { return nil }
        return "MariaDB \(values["version"] ?? "") is older than 10.11, the oldest that is tested"
    }

    private var packetProblem: String? {
        guard packetLimit < 40 << 20 else { return nil }
        return
            "max_allowed_packet is \(packetLimit) bytes: a longer message cannot be stored (64 MB are recommended)"
    }

    private var isMariaDB: Bool {
        [values["version"], values["version_comment"]].contains { $0?.lowercased().contains("mariadb") ?? false }
    }

    private var version: ArraySlice<Int>? {
        guard let text = values["version"] else { return nil }
        return text.prefix { $0 != "-" }.split(separator: ".").compactMap { Int($0) }.prefix(2)
    }

    private func has(_ name: String, _ value: String) -> Bool { values[name]?.lowercased() == value.lowercased() }
    private func isOn(_ name: String) -> Bool { has(name, "ON") || has(name, "1") }
}

extension ArraySlice<Int> {
    fileprivate static func < (left: Self, right: [Int]) -> Bool { left.lexicographicallyPrecedes(right) }
}
