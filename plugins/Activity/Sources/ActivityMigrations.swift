import Persistence

/// The table of exchanges. Its key begins with the time, so that it can be partitioned by it: MariaDB wants the
/// partition's column in every unique key. No foreign keys for the same reason.
enum ActivityMigrations {
    static let all = [
        Migration("activity", 1, "one row per exchange") { dialect in
            [
                table(dialect),
                "CREATE INDEX IF NOT EXISTS activity_by_user ON activity (user_id, created_us, activity_id)",
            ]
        },
        // Done again, it gathers the rows in one partition again, which the retention then splits.
        Migration("activity", 2, "partitions by time") { dialect in
            guard dialect == .mariadb else { return [] }
            return [
                "ALTER TABLE activity PARTITION BY RANGE (created_us) (PARTITION pmax VALUES LESS THAN MAXVALUE)"
            ]
        },
        Migration("activity", 3, "rows that stand for several requests") { dialect in
            [dialect.addColumn("requests \(dialect.integer) NOT NULL DEFAULT 1", to: "activity")]
        },
        Migration("activity", 4, "what an exchange cost") { dialect in
            [dialect.addColumn("cost_micros \(dialect.integer) NULL", to: "activity")]
        },
        Migration("activity", 5, "what of the history an exchange got") { dialect in
            [dialect.addColumn("history \(dialect.text(ColumnWidth.label)) NULL", to: "activity")]
        },
    ]

    private static func table(_ dialect: Dialect) -> String {
        let (number, label) = (dialect.integer, dialect.text(ColumnWidth.label))
        let code = dialect.text(ColumnWidth.code)
        return """
            CREATE TABLE IF NOT EXISTS activity (
                created_us \(number) NOT NULL, activity_id \(dialect.id) NOT NULL, user_id \(dialect.id) NULL,
                key_id \(dialect.id) NULL, session_id \(dialect.id) NULL,
                method \(dialect.text(ColumnWidth.method)) NOT NULL, path \(dialect.text(ColumnWidth.path)) NOT NULL,
                endpoint \(code) NULL, requested_model \(label) NULL, provider \(label) NULL, model \(label) NULL,
                status \(number) NOT NULL, upstream_status \(number) NULL, ending \(code) NOT NULL,
                error_code \(code) NULL, streamed \(number) NOT NULL, prompt_tokens \(number) NULL,
                completion_tokens \(number) NULL, total_tokens \(number) NULL, cached_tokens \(number) NULL,
                reasoning_tokens \(number) NULL, request_bytes \(number) NOT NULL, response_bytes \(number) NOT NULL,
                first_byte_us \(number) NULL, total_us \(number) NOT NULL,
                flags \(dialect.text(ColumnWidth.flags)) NOT NULL, capture_status \(code) NULL,
                PRIMARY KEY (created_us, activity_id)) \(dialect.bigRows)
            """
    }
}
