//! A real nginx with a configuration and a directory of its own.

use std::{
    net::SocketAddr, net::TcpListener, net::TcpStream, path::Path, process::Command, time::Duration,
};

use rustix::process::Signal;

use super::{
    certs::Issued,
    process::Process,
    wait::{DEADLINE, within},
};

/// A running nginx.
pub(crate) struct Nginx {
    process: Process,
    home: tempfile::TempDir,
    address: SocketAddr,
    scheme: &'static str,
}

// === impl Nginx ===

impl Nginx {
    /// Plain HTTP/1.1 with these directives inside `server { }`.
    #[track_caller]
    pub(crate) fn start(server: &str) -> Self {
        Self::with("", server, "http")
    }

    /// All of this inside `http { }`; `ADDRESS` stands for where it shall listen, `HOME` for its directory.
    #[track_caller]
    pub(crate) fn http(http: &str) -> Self {
        Self::with("", http, "whole")
    }

    /// Its own file.
    pub(crate) fn file_path(&self) -> std::path::PathBuf {
        self.home.path().join("nginx.conf")
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// TLS with HTTP/2 offered by ALPN.
    #[track_caller]
    pub(crate) fn tls(issued: &Issued, server: &str) -> Self {
        let server = format!(
            "ssl_certificate {}; ssl_certificate_key {};\n{server}",
            issued.cert.display(),
            issued.key.display()
        );
        Self::with("ssl http2", &server, "https")
    }

    #[track_caller]
    fn with(listen: &str, server: &str, scheme: &'static str) -> Self {
        // nginx cannot listen on port 0: a port just freed may be taken by another test, so try again.
        for _ in 0..10 {
            if let Some(nginx) = Self::attempt(listen, server, scheme) {
                return nginx;
            }
        }
        panic!("nginx found no free port ten times over");
    }

    fn attempt(listen: &str, server: &str, scheme: &'static str) -> Option<Self> {
        let home = tempfile::tempdir().expect("a temporary directory can be made");
        let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let address = address.expect("there is a free port");
        let file = home.path().join("nginx.conf");
        let text = match scheme {
            "whole" => whole(home.path(), address, server),
            _ => configuration(home.path(), address, listen, server),
        };
        std::fs::write(&file, text).expect("our own directory");
        let mut process = launch(&home);
        let up = listens(&mut process, address);
        let output = process.output();
        assert!(up == Some(true) || output.contains("Address already in use"), "nginx: {output}");
        (up == Some(true)).then_some(Self { process, home, address, scheme })
    }

    /// Sends a signal; it is one process.
    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Starts it again, where it was.
    #[track_caller]
    pub(crate) fn restart(&mut self) {
        self.signal(Signal::KILL);
        self.process.wait(DEADLINE);
        // A client of some other test may use the port for a moment.
        let up = within(DEADLINE, || {
            self.process = launch(&self.home);
            (listens(&mut self.process, self.address) == Some(true)).then_some(())
        });
        assert!(up.is_some(), "nginx: {}", self.process.output());
    }

    /// As an upstream URL.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Writes a file below its document root.
    pub(crate) fn file(&self, name: &str, content: &[u8]) {
        std::fs::write(self.home.path().join("www").join(name), content)
            .expect("our own directory");
    }
}

fn launch(home: &tempfile::TempDir) -> Process {
    let mut command = Command::new("nginx");
    let file = home.path().join("nginx.conf");
    command.arg("-p").arg(home.path()).arg("-c").arg(&file).args(["-e", "stderr"]);
    Process::start(command, "nginx")
}

/// Whether it accepts connections; false if it has ended.
fn listens(process: &mut Process, address: SocketAddr) -> Option<bool> {
    within(DEADLINE, || {
        if process.exited().is_some() {
            return Some(false);
        }
        TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok().then_some(true)
    })
}

fn configuration(home: &Path, address: SocketAddr, listen: &str, server: &str) -> String {
    let server = format!(
        "    server {{
        listen {address} {listen};
        root HOME/www;
        {server}
    }}"
    );
    whole(home, address, &server)
}

fn whole(home: &Path, address: SocketAddr, http: &str) -> String {
    std::fs::create_dir_all(home.join("www")).expect("our own directory");
    let home = home.display().to_string();
    let http = http.replace("ADDRESS", &address.to_string()).replace("HOME", &home);
    format!(
        "daemon off; master_process off; worker_processes 1; pid {home}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 10000000;
    client_max_body_size 0;
    client_body_temp_path {home}/t1; proxy_temp_path {home}/t2; fastcgi_temp_path {home}/t3;
    uwsgi_temp_path {home}/t4; scgi_temp_path {home}/t5;
{http}
}}
"
    )
}
