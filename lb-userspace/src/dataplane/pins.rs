//! Where a node's maps and links are pinned.
//!
//! ```text
//! /sys/fs/bpf/caslb/NODE/v1-3/MAP      maps of layout version 1, third set
//! /sys/fs/bpf/caslb/NODE/links/NIC     links of the program to its NICs
//! ```
//!
//! A set of maps never changes its sizes: when it gets too small, or the layout is another one, a new set is built
//! beside it and the programs are switched over. The set with the highest number of this layout that is complete is the
//! one in use.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use lb_common::layout;
use tracing::debug;

use crate::sys::detach_link;

/// The BPF file system.
pub const BPFFS: &str = "/sys/fs/bpf";

/// Mounts the BPF file system where no program has done so since the machine started; systemd does it on most.
pub fn mount_bpffs() -> io::Result<()> {
    const BPF_FS_MAGIC: u64 = 0xcafe_4a11;
    if rustix::fs::statfs(BPFFS)?.f_type.cast_unsigned() == BPF_FS_MAGIC {
        return Ok(());
    }
    rustix::mount::mount("bpf", BPFFS, "bpf", rustix::mount::MountFlags::empty(), None)?;
    Ok(())
}

/// The pins of one node.
#[derive(Clone, Debug)]
pub struct Pins {
    root: PathBuf,
}

/// One set of maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapSet {
    /// Its folder.
    pub path: PathBuf,
    /// Layout version of its records.
    pub layout: u32,
    /// Counts up with each set.
    pub number: u32,
}

impl Pins {
    /// The pins of the node called `node`.
    pub fn new(node: &str) -> Self {
        Self { root: Path::new(BPFFS).join("caslb").join(node) }
    }

    /// Whether anything is pinned.
    pub fn exist(&self) -> bool {
        self.root.is_dir()
    }

    /// The folder of all pins of the node.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of the links.
    pub fn links(&self) -> PathBuf {
        self.root.join("links")
    }

    /// Where the link to a NIC is pinned. The BPF file system keeps names with dots for itself.
    pub fn link(&self, nic: &str) -> PathBuf {
        self.links().join(nic.replace('%', "%25").replace('.', "%2e"))
    }

    /// NICs that have a pinned link.
    pub fn linked_nics(&self) -> io::Result<Vec<String>> {
        let names = entries(&self.links())?;
        Ok(names.into_iter().map(|name| name.replace("%2e", ".").replace("%25", "%")).collect())
    }

    /// Takes the program off a NIC and removes the link.
    pub fn remove_link(&self, nic: &str) -> io::Result<()> {
        let pin = self.link(nic);
        if let Err(error) = detach_link(&pin) {
            // It goes with its pin as well, a moment later.
            debug!(nic, %error, "the link cannot be detached at once");
        }
        fs::remove_file(pin)
    }

    /// All sets of maps, of whatever layout, oldest first.
    pub fn sets(&self) -> io::Result<Vec<MapSet>> {
        let mut sets: Vec<_> = entries(&self.root)?.iter().filter_map(|name| self.set(name)).collect();
        sets.sort_by_key(|set| set.number);
        Ok(sets)
    }

    /// A set of this layout that does not exist yet.
    pub fn next_set(&self) -> io::Result<MapSet> {
        let number = self.sets()?.last().map_or(1, |last| last.number + 1);
        let path = self.root.join(format!("v{}-{number}", layout::VERSION));
        Ok(MapSet { path, layout: layout::VERSION, number })
    }

    fn set(&self, name: &str) -> Option<MapSet> {
        let (layout, number) = name.strip_prefix('v')?.split_once('-')?;
        Some(MapSet { path: self.root.join(name), layout: layout.parse().ok()?, number: number.parse().ok()? })
    }

    /// Removes the node's folders as far as nothing is in them.
    pub fn remove_empty(&self) {
        let folders = [Some(self.links()), Some(self.root.clone()), self.root.parent().map(Path::to_owned)];
        for folder in folders.into_iter().flatten() {
            // The kernel refuses when it is not empty, which is as it should be.
            let _ = fs::remove_dir(folder);
        }
    }

    /// Removes every pin of the node: programs are detached and maps freed as soon as nobody else holds them.
    pub fn remove_all(&self) -> io::Result<()> {
        if !self.exist() {
            return Ok(());
        }
        // Links first: traffic must not meet a program whose maps are gone from view.
        for nic in self.linked_nics()? {
            self.remove_link(&nic)?;
        }
        remove_dir(&self.links())?;
        for set in self.sets()? {
            set.remove()?;
        }
        remove_dir(&self.root)?;
        // Other nodes may still be there.
        match self.root.parent().map(fs::remove_dir) {
            Some(Err(error)) if error.kind() != io::ErrorKind::DirectoryNotEmpty => Err(error),
            _ => Ok(()),
        }
    }
}

impl MapSet {
    /// Where a map is pinned.
    pub fn map(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Whether its records are laid out as this program expects.
    pub fn is_current_layout(&self) -> bool {
        self.layout == layout::VERSION
    }

    /// Removes the pins.
    pub fn remove(&self) -> io::Result<()> {
        remove_dir(&self.path)
    }
}

/// Names in a folder; none when there is no such folder.
fn entries(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// Removes a folder and the pins in it; folders in it are not touched.
fn remove_dir(folder: &Path) -> io::Result<()> {
    for name in entries(folder)? {
        fs::remove_file(folder.join(name))?;
    }
    match fs::remove_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_nics_survive_the_file_system() {
        let pins = Pins::new("lb1");
        assert_eq!(pins.link("eth0.100"), Path::new("/sys/fs/bpf/caslb/lb1/links/eth0%2e100"));
        assert_eq!(pins.link("a%b"), Path::new("/sys/fs/bpf/caslb/lb1/links/a%25b"));
    }

    #[test]
    fn sets_are_told_from_other_folders() {
        let pins = Pins::new("lb1");
        assert_eq!(pins.set("v1-12").map(|set| (set.layout, set.number)), Some((1, 12)));
        assert_eq!(pins.set("links"), None);
        assert_eq!(pins.set("v1"), None);
        assert_eq!(pins.set("vx-1"), None);
    }
}
