/// A certificate for `localhost` that is good for nothing but tests, as PEM.
package enum TestCertificate {
    package static let certificate = """
        -----BEGIN CERTIFICATE-----
        MIIBljCCATugAwIBAgIUYkk56j3BPsN3JTTyhvRrhTGNNowwCgYIKoZIzj0EAwIw
        FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMTAxNDkzNloYDzIxMjYxMDI4
        MDE0OTM2WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
        PQMBBwNCAATOTImksTOUKlnosqeFmYhCn/AebjFH9mkpHbbt8twlWOVKHkjj/APE
        WP2vwY+6Exaysfr/nehvl5CRbZ08typno2kwZzAdBgNVHQ4EFgQUP32R+3El2FC4
        A7j46GcYzLcOH8wwHwYDVR0jBBgwFoAUP32R+3El2FC4A7j46GcYzLcOH8wwDwYD
        VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglsb2NhbGhvc3QwCgYIKoZIzj0EAwID
        SQAwRgIhAKWZXESop2kA+98L/F7k1gH+nw0y1tpfq2SmSRBqr0EMAiEAg4+wCFHy
        hDYq80CjhqMln18ZYkfVYtu8NwHgW0T9DlM=
        -----END CERTIFICATE-----
        """

    package static let key = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgcPmidze0nr+uTod0
        OxjUspUlxnOSoOimT9BTC66yY+KhRANCAATOTImksTOUKlnosqeFmYhCn/AebjFH
        9mkpHbbt8twlWOVKHkjj/APEWP2vwY+6Exaysfr/nehvl5CRbZ08typn
        -----END PRIVATE KEY-----
        """

    /// The key of no certificate.
    package static let anotherKey = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgJVtCvOu1jd9jaHZn
        Wl74HbLVhppAl6NYFo85DiZDeoKhRANCAARS7JlKNsf/y5KaKcL8IrD30cR4WieN
        dJvd5Gyb9JsNbT6qi6po+4TpNrCZWLy37+SYuAPY9/4xqz9Ihn7zpx83
        -----END PRIVATE KEY-----
        """
}
