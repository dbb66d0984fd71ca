public import NIOCore

/// Undoing, in the chunks that a client gets, what asking for usage on its behalf changes in them.
public enum UsageHiding {
    /// The event without its `"usage": null`; the same event where it has none. The chunk that reports usage is not
    /// changed: `DeltaAccumulator` tells it apart, and it is withheld as a whole.
    public static func removingNullUsage(_ event: ServerSentEvent) -> ServerSentEvent {
        guard let data = event.data else { return event }
        let edited = removingNullUsage(data)
        return edited.readableBytes == data.readableBytes ? event : event.replacingData(edited)
    }

    /// The chunk's JSON without its `"usage": null`; the same bytes where it has none, or is no object.
    public static func removingNullUsage(_ data: ByteBuffer) -> ByteBuffer {
        guard let object = try? JSONObject(scanning: data), object["usage"]?.isNull == true else { return data }
        return object.edited([.remove("usage")])
    }
}
