/// What looks at an exchange from outside: at the answer of its chain, and at its end.
///
/// For a step that stands before all others and changes nothing: unlike one that awaits `next`, it costs no frame that waits
/// with the exchange, and unlike actions it may be one object for all exchanges.
package protocol ExchangeObserver: AnyObject, Sendable {
    /// The chain has answered; the body has yet to stream. Not told of errors that became an answer.
    func answered(_ exchange: Exchange, with response: inout Response)
    /// The exchange is over. In the order of ``Exchange/onFinish(_:)``, and under its rules.
    func ended(_ exchange: Exchange, _ outcome: Outcome)
}

extension ExchangeObserver {
    package func answered(_ exchange: Exchange, with response: inout Response) {}
}
