import CCurl
import Glibc

/// What libcurl tells about its sockets and its timer.
extension CurlDriver {
    /// `context` is the driver, which outlives the multi handle and its connections.
    func installCallbacks(on multi: UnsafeMutableRawPointer, _ context: UnsafeMutableRawPointer) {
        cc_multi_set_pointer(multi, CURLMOPT_SOCKETDATA, context)
        cc_multi_set_pointer(multi, CURLMOPT_TIMERDATA, context)
        cc_multi_set_socket_fn(multi) { _, socket, what, context, _ in
            CurlDriver.at(context).sockets.watch(socket, what)
            return 0
        }
        cc_multi_set_timer_fn(multi) { _, milliseconds, context in
            CurlDriver.at(context).setTimer(milliseconds: milliseconds)
            return 0
        }
    }

    /// libcurl must not close sockets behind the table's back: a new one gets the same number.
    func installClose(on easy: EasyHandle) {
        easy.set(CURLOPT_CLOSESOCKETDATA, pointer: Unmanaged.passUnretained(self).toOpaque())
        cc_set_close_fn(easy.raw) { context, socket in
            CurlDriver.at(context).sockets.forget(socket)
            return close(socket)
        }
    }

    private static func at(_ context: UnsafeMutableRawPointer?) -> CurlDriver {
        Unmanaged<CurlDriver>.fromOpaque(context!).takeUnretainedValue()
    }
}
