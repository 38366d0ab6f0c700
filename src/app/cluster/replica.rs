//! Streaming replicas of a throw-away server, and what is done to them.
//! Never on the primary but for what a base backup needs.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{Binaries, Cluster, ClusterError, Home, LOOK_AGAIN, Options, client};

/// Where the log's last record ends. What comes next may begin behind the header of a page, 24
/// bytes or a segment's 40, and nobody replays a header without a record.
const LAST_RECORD: &str = "
    select next - case when at = 40 then 40 when at % 8192 = 24 then 24 else 0 end
    from pg_current_wal_insert_lsn() as next, pg_walfile_name_offset(next) as file(name, at)";

impl Cluster {
    /// A hot standby of this server, made by pg_basebackup; it follows by streaming. Its settings
    /// are this server's, and over them those of `options`; a template is of no use.
    ///
    /// The server has to let its superuser in from loopback for replication.
    ///
    /// # Errors
    /// As [`Cluster::start`], and when the copy fails.
    pub fn replica(&self, options: &Options) -> Result<Self, ClusterError> {
        let mut replica = Self {
            binaries: Binaries::clone(&self.binaries),
            patience: options.patience,
            port: 0,
            server: None,
            home: Home::make()?,
        };
        let program = self.bin("pg_basebackup")?;
        let mut copy = replica.home.command(&program);
        copy.args(["--checkpoint=fast", "--no-sync", "--wal-method=stream"])
            .args(["--write-recovery-conf", "--pgdata"])
            .arg(replica.home.data())
            .arg("--dbname")
            .arg(self.url("postgres"));
        client::succeed(&mut copy, "pg_basebackup", self.patience)?;
        replica.configure(options)?;
        replica.run_on_a_free_port()?;
        Ok(replica)
    }

    /// What one statement answers, as psql prints it without decoration.
    ///
    /// # Errors
    /// When there is no psql, or it fails.
    pub fn ask(&self, statement: &str) -> Result<String, ClusterError> {
        let mut psql = self.client("psql")?;
        psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d"])
            .arg(self.url("postgres"))
            .args(["-c", statement]);
        let said = client::finish(&mut psql, "psql", self.patience)?;
        Ok(String::from_utf8_lossy(&said.stdout).trim_end().to_owned())
    }

    /// Where the log ends, as `pg_lsn` writes it.
    ///
    /// # Errors
    /// As [`Cluster::ask`].
    pub fn position(&self) -> Result<String, ClusterError> {
        self.ask("select pg_current_wal_insert_lsn()")
    }

    /// Waits until this replica has replayed all that the primary has written.
    ///
    /// # Errors
    /// As [`Cluster::ask`], and when it does not get there.
    pub fn catch_up(&self, primary: &Self) -> Result<(), ClusterError> {
        let position = primary.ask(LAST_RECORD)?;
        let reached = format!("select pg_last_wal_replay_lsn() >= '{position}'");
        self.until("catching up", &reached)
    }

    /// Replays nothing more; what comes is kept.
    ///
    /// # Errors
    /// As [`Cluster::ask`].
    pub fn pause_replay(&self) -> Result<(), ClusterError> {
        self.ask("select pg_wal_replay_pause()")?;
        self.until(
            "pausing replay",
            "select pg_get_wal_replay_pause_state() = 'paused'",
        )
    }

    /// Goes on where it was paused.
    ///
    /// # Errors
    /// As [`Cluster::ask`].
    pub fn resume_replay(&self) -> Result<(), ClusterError> {
        self.ask("select pg_wal_replay_resume()").map(drop)
    }

    /// Makes a primary of a replica, and waits until it is one.
    ///
    /// # Errors
    /// As [`Cluster::ask`], and when it does not become one.
    pub fn promote(&self) -> Result<(), ClusterError> {
        self.ask("select pg_promote(wait => false)")?;
        self.until("promotion", "select not pg_is_in_recovery()")
    }

    /// Asks until the answer is yes.
    fn until(&self, what: &'static str, question: &str) -> Result<(), ClusterError> {
        let begun = Instant::now();
        while self.ask(question)? != "t" {
            if begun.elapsed() > self.patience {
                let after = self.patience;
                return Err(ClusterError::TooSlow { what, after });
            }
            thread::sleep(LOOK_AGAIN.max(Duration::from_millis(20)));
        }
        Ok(())
    }
}
