//! The keys and messages of RFC 9421, appendix B.

use http::{HeaderMap, Method, Uri};
use rustls::pki_types::{SubjectPublicKeyInfoDer, pem::PemObject};

use super::*;

pub(super) const RSA_PSS: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAr4tmm3r20Wd/PbqvP1s2
+QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct+Lh1GH45x28Rw3Ry53mm+
oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHq
gDsznjPFmTOtCEcN2Z1FpWgchwuYLPL+Wokqltd11nqqzi+bJ9cvSKADYdUAAN5W
Utzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GVAdVw9lq4
aOT9v6d+nb4bnNkQVklLQ3fVAvJm+xdDOp9LCNCN48V2pnDOkFV6+U9nV5oyc6XI
2wIDAQAB
-----END PUBLIC KEY-----";
const P256: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lf
w0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==
-----END PUBLIC KEY-----";
pub(super) const ED25519: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
-----END PUBLIC KEY-----";
const SHARED: &str = "base64:uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";

const CREATED: i64 = 1_618_884_473;

pub(super) fn der(pem: &str) -> Vec<u8> {
    SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
}

fn keys() -> Keys {
    let mut keys = Keys::none();
    let name = Name::from("rfc");
    for (id, pem) in
        [("test-key-rsa-pss", RSA_PSS), ("test-key-ecc-p256", P256), ("test-key-ed25519", ED25519)]
    {
        keys.add(&name, id, Written::Public(&der(pem), None)).unwrap();
    }
    keys.add(&name, "test-shared-secret", Written::Secret(SHARED)).unwrap();
    keys
}

struct Vector {
    method: Method,
    authority: &'static str,
    target: &'static str,
    headers: HeaderMap,
}

impl Vector {
    /// The request of B.2.
    fn request() -> Self {
        let digest = "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:";
        let fields = [
            ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
            ("content-type", "application/json"),
            ("content-digest", digest),
            ("content-length", "18"),
        ];
        Self::new(Method::POST, "example.com", "/foo?param=Value&Pet=dog", &fields)
    }

    fn new(
        method: Method,
        authority: &'static str,
        target: &'static str,
        fields: &[(&'static str, &str)],
    ) -> Self {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        Self { method, authority, target, headers }
    }

    fn verify(&self, input: &str, signature: &str) -> Result<Verified, Denied> {
        let mut headers = self.headers.clone();
        headers.insert("signature-input", input.parse().unwrap());
        headers.insert("signature", signature.parse().unwrap());
        let message = Message {
            method: &self.method,
            scheme: "https",
            authority: Some(&HeaderValue::from_static(self.authority)),
            uri: &Uri::from_static(self.target),
            headers: &headers,
        };
        // Nothing but what the vector itself covers, some of which do not cover the body.
        let rules = Rules { components: Vec::new(), ..rules() };
        rules.verify(&keys(), &message, false, CREATED)
    }
}

const VECTORS: [(&str, &str); 5] = [
    (
        r#"sig-b21=();created=1618884473;keyid="test-key-rsa-pss";nonce="b3k2pp5k7z-50gnwp.yemd""#,
        "sig-b21=:d2pmTvmbncD3xQm8E9ZV2828BjQWGgiwAaw5bAkgibUopemLJcWDy/lkbbHAve4cRAtx31Iq786U7it++wgGxbtRxf8Udx7zFZsckzXaJMkA7ChG52eSkFxykJeNqsrWH5S+oxNFlD4dzVuwe8DhTSja8xxbR/Z2cOGdCbzR72rgFWhzx2VjBqJzsPLMIQKhO4DGezXehhWwE56YCE+O6c0mKZsfxVrogUvA4HELjVKWmAvtl6UnCh8jYzuVG5WSb/QEVPnP5TmcAnLH1g+s++v6d4s8m0gCw1fV5/SITLq9mhho8K3+7EPYTU8IU1bLhdxO5Nyt8C8ssinQ98Xw9Q==:",
    ),
    (
        r#"sig-b22=("@authority" "content-digest" "@query-param";name="Pet");created=1618884473;keyid="test-key-rsa-pss";tag="header-example""#,
        "sig-b22=:LjbtqUbfmvjj5C5kr1Ugj4PmLYvx9wVjZvD9GsTT4F7GrcQEdJzgI9qHxICagShLRiLMlAJjtq6N4CDfKtjvuJyE5qH7KT8UCMkSowOB4+ECxCmT8rtAmj/0PIXxi0A0nxKyB09RNrCQibbUjsLS/2YyFYXEu4TRJQzRw1rLEuEfY17SARYhpTlaqwZVtR8NV7+4UKkjqpcAoFqWFQh62s7Cl+H2fjBSpqfZUJcsIk4N6wiKYd4je2U/lankenQ99PZfB4jY3I5rSV2DSBVkSFsURIjYErOs0tFTQosMTAoxk//0RoKUqiYY8Bh0aaUEb0rQl3/XaVe4bXTugEjHSw==:",
    ),
    (
        r#"sig-b23=("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-rsa-pss""#,
        "sig-b23=:bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yBiMIRGOnMYwZ/5MR6fb0Kh1rIRASVxFkeGt683+qRpRRU5p2voTp768ZrCUb38K0fUxN0O0iC59DzYx8DFll5GmydPxSmme9v6ULbMFkl+V5B1TP/yPViV7KsLNmvKiLJH1pFkh/aYA2HXXZzNBXmIkoQoLd7YfW91kE9o/CCoC1xMy7JA1ipwvKvfrs65ldmlu9bpG6A9BmzhuzF8Eim5f8ui9eH8LZH896+QIF61ka39VBrohr9iyMUJpvRX2Zbhl5ZJzSRxpJyoEZAFL2FUo5fTIztsDZKEgM4cUA==:",
    ),
    (
        r#"sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret""#,
        "sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:",
    ),
    (
        r#"sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519""#,
        "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:",
    ),
];

/// B.2. B.2.4 signs an answer, which is not for us: its key and algorithm are those of B.3.
#[test]
fn the_requests_of_appendix_b2() {
    for (input, signature) in VECTORS {
        let found = Vector::request().verify(input, signature);
        assert!(found.is_ok(), "{input}: {found:?}");
        let other = Vector::new(Method::PUT, "example.org", "/bar", &[]);
        let changed = other.verify(input, signature);
        assert_eq!(changed.is_ok(), input.contains("=()"), "only one covers nothing");
        for (_, other) in VECTORS.iter().filter(|(one, _)| *one != input) {
            let label = input.split_once('=').unwrap().0;
            let value = other.split_once('=').unwrap().1;
            let swapped = Vector::request().verify(input, &format!("{label}={value}"));
            assert_eq!(swapped.map(|_| ()), Err(WRONG), "{input}");
        }
    }
}

/// B.3: a proxy that ends TLS signs what it has added.
#[test]
fn the_proxy_of_appendix_b3() {
    let certificate = ":MIIBqDCCAU6gAwIBAgIBBzAKBggqhkjOPQQDAjA6MRswGQYDVQQKDBJMZXQncyBBdXRoZW50aWNhdGUxGzAZBgNVBAMMEkxBIEludGVybWVkaWF0ZSBDQTAeFw0yMDAxMTQyMjU1MzNaFw0yMTAxMjMyMjU1MzNaMA0xCzAJBgNVBAMMAkJDMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8YnXXfaUgmnMtOXU/IncWalRhebrXmckC8vdgJ1p5Be5F/3YC8OthxM4+k1M6aEAEFcGzkJiNy6J84y7uzo9M6NyMHAwCQYDVR0TBAIwADAfBgNVHSMEGDAWgBRm3WjLa38lbEYCuiCPct0ZaSED2DAOBgNVHQ8BAf8EBAMCBsAwEwYDVR0lBAwwCgYIKwYBBQUHAwIwHQYDVR0RAQH/BBMwEYEPYmRjQGV4YW1wbGUuY29tMAoGCCqGSM49BAMCA0gAMEUCIBHda/r1vaL6G3VliL4/Di6YK0Q6bMjeSkC3dFCOOB8TAiEAx/kHSB4urmiZ0NX5r5XarmPk0wmuydBVoU4hBVZ1yhk=:";
    let input = r#"ttrp=("@path" "@query" "@method" "@authority" "client-cert");created=1618884473;keyid="test-key-ecc-p256""#;
    let signature = "ttrp=:xVMHVpawaAC/0SbHrKRs9i8I3eOs5RtTMGCWXm/9nvZzoHsIg6Mce9315T6xoklyy0yzhD9ah4JHRwMLOgmizw==:";
    let target = "/foo?param=Value&Pet=dog";
    let with = |certificate: &str| {
        let fields = [("client-cert", certificate)];
        Vector::new(Method::POST, "service.internal.example", target, &fields)
    };
    let found = with(certificate).verify(input, signature);
    assert!(found.is_ok(), "{found:?}");
    let other = with(":AAAA:").verify(input, signature);
    assert_eq!(other.map(|_| ()), Err(WRONG));
}

/// Method, authority, target and fields.
type Case = (Method, &'static str, &'static str, &'static [(&'static str, &'static str)]);

/// B.4: what may happen to a request on its way, and what may not.
#[test]
fn the_changes_of_appendix_b4() {
    let input = r#"transform=("@method" "@path" "@authority" "accept");created=1618884473;keyid="test-key-ed25519""#;
    let signature = "transform=:ZT1kooQsEHpZ0I1IjCqtQppOmIqlJPeo7DHR3SoMn0s5JZ1eRGS0A+vyYP9t/LXlh5QMFFQ6cpLt2m0pmj3NDA==:";
    const ACCEPT: &[(&str, &str)] = &[("accept", "application/json"), ("accept", "*/*")];
    const MORE: &[(&str, &str)] = &[ACCEPT[0], ACCEPT[1], ("accept-language", "en-US,en;q=0.5")];
    let good: [Case; 4] = [
        (Method::GET, "example.org", "/demo?name1=Value1&Name2=value2", ACCEPT),
        (Method::GET, "example.org", "/demo?name1=Value1&Name2=value2&param=added", MORE),
        (
            Method::GET,
            "example.org",
            "/demo?name1=Value1&Name2=value2",
            &[
                ("referer", "https://developer.example.org/demo"),
                ("accept", "application/json, */*"),
            ],
        ),
        (Method::GET, "EXAMPLE.ORG:443", "/demo?name1=Value1&Name2=value2", ACCEPT),
    ];
    for (method, authority, target, fields) in good {
        let found = Vector::new(method, authority, target, fields).verify(input, signature);
        assert!(found.is_ok(), "{authority}{target} {fields:?}: {found:?}");
    }
    let bad: [Case; 3] = [
        (Method::POST, "example.com", "/demo?name1=Value1&Name2=value2", ACCEPT),
        (
            Method::GET,
            "example.org",
            "/demo?name1=Value1&Name2=value2",
            &[("accept", "*/*"), ("accept", "application/json")],
        ),
        (Method::GET, "example.org", "/other", ACCEPT),
    ];
    for (method, authority, target, fields) in bad {
        let found = Vector::new(method, authority, target, fields).verify(input, signature);
        assert_eq!(found.map(|_| ()), Err(WRONG), "{authority}{target} {fields:?}");
    }
}
