import Persistence
import Testing

@testable import PersistenceMariaDB

@Suite("What a MariaDB server says about itself") struct ServerReportTests {
    private static let healthy = [
        "version": "10.11.19-MariaDB-0+deb12u1", "max_allowed_packet": "67108864", "read_only": "OFF",
        "innodb_flush_log_at_trx_commit": "1", "innodb_doublewrite": "ON", "innodb_force_recovery": "0",
        "log_bin": "OFF", "sync_binlog": "0", "binlog_format": "MIXED", "default_storage_engine": "InnoDB",
        "wsrep_on": "OFF", "innodb_flush_method": "O_DIRECT",
    ]
    private static let node = [
        "wsrep_on": "ON", "wsrep_ready": "ON", "wsrep_cluster_status": "Primary",
        "wsrep_local_state_comment": "Synced",
    ]

    private func report(_ changes: [String: String]) -> ServerReport {
        ServerReport(values: Self.healthy.merging(changes) { $1 })
    }

    @Test func findsNothingWrongWithDebiansDefaultsAndABigPacket() {
        #expect(report([:]).problems == [])
        #expect(report([:]).refusal == nil)
        #expect(report([:]).packetLimit == 64 << 20)
        #expect(report(Self.node).problems == [])
        #expect(report(Self.node).refusal == nil)
    }

    @Test(arguments: [
        (["innodb_flush_log_at_trx_commit": "2"], "innodb_flush_log_at_trx_commit"),
        (["innodb_flush_log_at_trx_commit": "0"], "innodb_flush_log_at_trx_commit"),
        (["innodb_doublewrite": "OFF"], "innodb_doublewrite"), (["innodb_flush_method": "nosync"], "nosync"),
        (["log_bin": "ON"], "sync_binlog"), (["log_bin": "1", "sync_binlog": "1000"], "sync_binlog"),
        (["log_bin": "ON", "sync_binlog": "1", "binlog_format": "STATEMENT"], "binlog_format"),
        (["innodb_force_recovery": "1"], "innodb_force_recovery"),
        (["default_storage_engine": "Aria"], "default_storage_engine"),
        (["max_allowed_packet": "16777216"], "max_allowed_packet"), (["version": "10.6.21-MariaDB"], "10.6.21"),
        (["version": "5.5.68-MariaDB"], "5.5.68"),
    ])
    func namesASettingThatBreaksThePromise(_ changes: [String: String], _ word: String) {
        #expect(report(changes).problems.count == 1)
        #expect(report(changes).problems.first?.contains(word) == true)
        #expect(report(changes).refusal == nil)
    }

    @Test(arguments: ["10.11.0-MariaDB", "11.4.2-MariaDB-log", "11.0.1-MariaDB", "12.1-MariaDB"])
    func knowsNewerVersions(_ version: String) { #expect(report(["version": version]).problems == []) }

    @Test(arguments: [
        ["read_only": "ON"], ["read_only": "1"], ["innodb_read_only": "ON"], ["wsrep_on": "ON"],
        node.merging(["wsrep_ready": "OFF"]) { $1 }, node.merging(["wsrep_cluster_status": "non-Primary"]) { $1 },
        node.merging(["wsrep_local_state_comment": "Donor/Desynced"]) { $1 },
        node.merging(["wsrep_local_state_comment": "Joining"]) { $1 },
    ])
    func refusesAServerThatCannotTakeWritesNow(_ changes: [String: String]) {
        #expect(report(changes).refusal?.failure == .unavailable)
    }

    @Test func refusesMySQLForGood() {
        #expect(report(["version": "8.0.36"]).refusal?.failure == .refuse)
        #expect(report(["version": "10.11.6", "version_comment": "MariaDB Server"]).refusal == nil)
    }
}
