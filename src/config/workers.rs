//! How many workers: as many as the container has CPUs to give, and connections to share.

use std::{fs, num::NonZero, path::Path, thread};

/// More than four workers have never paid off beside one application.
const MOST: usize = 4;

/// Connections per worker below which another worker costs more than it brings.
const CONNECTIONS: usize = 4;

/// What `workers = 0` means with `cpus` CPUs when the smallest pool has `smallest` connections.
pub fn choose(cpus: usize, smallest: usize) -> usize {
    cpus.min(MOST).min(smallest / CONNECTIONS).max(1)
}

/// CPUs of this process: the quota of its container rounded up, at most those it may run on.
pub fn cpus() -> usize {
    let read = |path: &Path| fs::read_to_string(path).ok();
    let allowed =
        allowed(&read).unwrap_or_else(|| thread::available_parallelism().map_or(1, NonZero::get));
    quota(&read)
        .map_or(allowed, |quota| quota.min(allowed))
        .max(1)
}

type Read<'a> = &'a dyn Fn(&Path) -> Option<String>;

/// The affinity mask. Not the standard library's count: that one rounds a quota down.
fn allowed(read: Read<'_>) -> Option<usize> {
    let status = read(Path::new("/proc/self/status"))?;
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let ranges = list.trim().split(',').map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        Some(last.checked_sub(first)? + 1)
    });
    ranges.sum()
}

/// The tightest quota on the way from this process' cgroup to the root, in whole CPUs.
fn quota(read: Read<'_>) -> Option<usize> {
    let groups = read(Path::new("/proc/self/cgroup"))?;
    let quotas = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        match controllers {
            "" => tightest("/sys/fs/cgroup", path, &|folder| v2(read, folder)),
            list if list.split(',').any(|name| name == "cpu") => {
                let mounts = ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"];
                let quotas = mounts.iter();
                quotas
                    .filter_map(|mount| tightest(mount, path, &|folder| v1(read, folder)))
                    .min()
            }
            _ => None,
        }
    });
    quotas.min()
}

fn tightest(mount: &str, path: &str, at: &dyn Fn(&Path) -> Option<usize>) -> Option<usize> {
    // A container often sees the host's path here while its mount begins at its own group:
    // what does not exist is passed over on the way up.
    let full = Path::new(mount).join(path.trim_start_matches('/'));
    full.ancestors()
        .take_while(|folder| folder.starts_with(mount))
        .filter_map(at)
        .min()
}

/// cgroup v2: `cpu.max` is "QUOTA PERIOD" or "max PERIOD".
fn v2(read: Read<'_>, folder: &Path) -> Option<usize> {
    let text = read(&folder.join("cpu.max"))?;
    let (quota, period) = text.trim().split_once(' ')?;
    round_up(quota, period)
}

/// cgroup v1: a quota of -1 is none.
fn v1(read: Read<'_>, folder: &Path) -> Option<usize> {
    let quota = read(&folder.join("cpu.cfs_quota_us"))?;
    let period = read(&folder.join("cpu.cfs_period_us"))?;
    round_up(quota.trim(), period.trim())
}

fn round_up(quota: &str, period: &str) -> Option<usize> {
    let quota: usize = quota.parse().ok()?;
    let period: usize = period.parse().ok().filter(|period| *period > 0)?;
    Some(quota.div_ceil(period))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota_of(files: &[(&str, &str)]) -> Option<usize> {
        quota(&|path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path);
            found.map(|(_, text)| (*text).to_owned())
        })
    }

    #[test]
    fn a_quota_of_one_and_a_half_cpus_is_two() {
        let files = [
            ("/proc/self/cgroup", "0::/\n"),
            ("/sys/fs/cgroup/cpu.max", "150000 100000\n"),
        ];
        assert_eq!(quota_of(&files), Some(2));
    }

    #[test]
    fn the_tightest_group_on_the_way_up_counts() {
        let files = [
            ("/proc/self/cgroup", "0::/pods/mine\n"),
            ("/sys/fs/cgroup/pods/mine/cpu.max", "max 100000\n"),
            ("/sys/fs/cgroup/pods/cpu.max", "300000 100000\n"),
            ("/sys/fs/cgroup/cpu.max", "800000 100000\n"),
        ];
        assert_eq!(quota_of(&files), Some(3));
    }

    #[test]
    fn the_older_cgroups_count_too() {
        let files = [
            (
                "/proc/self/cgroup",
                "4:memory:/a\n2:cpu,cpuacct:/docker/x\n0::/\n",
            ),
            ("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "50000\n"),
            ("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
        ];
        assert_eq!(quota_of(&files), Some(1));
        let none = [
            ("/proc/self/cgroup", "1:cpu:/\n"),
            ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
            ("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
        ];
        assert_eq!(quota_of(&none), None);
    }

    #[test]
    fn the_affinity_mask_is_counted() {
        let status = |list: &'static str| {
            allowed(&move |_| Some(format!("Name:\tx\nCpus_allowed_list:\t{list}\n")))
        };
        assert_eq!(status("0-3"), Some(4));
        assert_eq!(status("0,2-3"), Some(3));
        assert_eq!(status("x"), None);
    }

    #[test]
    fn workers_follow_the_cpus_but_never_outnumber_a_quarter_of_the_smallest_pool() {
        assert_eq!(choose(1, 20), 1);
        assert_eq!(choose(2, 20), 2);
        assert_eq!(choose(64, 200), 4);
        assert_eq!(choose(4, 8), 2);
        assert_eq!(choose(4, 1), 1);
    }
}
