//! The data folder as commands see it: a host leaves its address and the operator's token there, for commands on the same
//! machine. All else in it belongs to the runtime.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::Stop;

/// Where a host keeps its state unless `--data` says otherwise.
pub(super) const DEFAULT: &str = ".flowcell";
const ADDRESS: &str = "address";
const TOKEN: &str = "operator.token";

/// The folder of the host that this process is.
pub(super) struct DataFolder(PathBuf);

impl DataFolder {
    /// Makes the folder, for its owner only, where it is not there.
    pub(super) fn create(path: &Path) -> Result<Self, Stop> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path).map_err(|error| {
            Stop::wrong(format!("the data folder {} cannot be made: {error}; pass --data", path.display()))
        })?;
        Ok(Self(path.to_owned()))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// The operator's token, minted at the first start, and the file that holds it.
    pub(super) fn operator_token(&self) -> Result<(String, PathBuf), Stop> {
        let path = self.0.join(TOKEN);
        let token = match fs::read_to_string(&path) {
            Ok(text) => text.trim().to_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let token = crate::mint_token();
                self.write_private(TOKEN, &token)?;
                token
            }
            Err(error) => return Err(Stop::wrong(format!("{}: {error}", path.display()))),
        };
        if token.len() < 22 {
            return Err(Stop::wrong(format!(
                "{}: this is not a token (at least 22 characters); remove the file to get a new one",
                path.display()
            )));
        }
        warn_if_others_may_read(&path);
        Ok((token, path))
    }

    /// Leaves the address for commands on this machine.
    pub(super) fn write_address(&self, url: &str) -> Result<(), Stop> {
        self.write_private(ADDRESS, url)
    }

    /// Removes the address: the host ends, and nothing answers there any more.
    pub(super) fn forget_address(&self) {
        let _ = fs::remove_file(self.0.join(ADDRESS));
    }

    /// Writes another file and renames it: a reader sees the old text or the new one.
    fn write_private(&self, name: &str, text: &str) -> Result<(), Stop> {
        let (path, beside) = (self.0.join(name), self.0.join(format!("{name}.new")));
        let written = || -> io::Result<()> {
            let mut options = fs::OpenOptions::new();
            options.write(true).create(true).truncate(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = options.open(&beside)?;
            writeln!(file, "{text}")?;
            file.sync_all()?;
            fs::rename(&beside, &path)
        };
        written().map_err(|error| {
            Stop::wrong(format!(
                "the data folder cannot be written: {}: {error}; pass --data",
                path.display()
            ))
        })
    }
}

#[cfg(unix)]
fn warn_if_others_may_read(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    if fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0) {
        tracing::warn!("others may read {}: chmod 600 it", path.display());
    }
}

#[cfg(not(unix))]
fn warn_if_others_may_read(_: &Path) {}

/// The address that a running host has left in this folder.
pub(super) fn address_in(folder: &Path) -> Option<String> {
    read(folder, ADDRESS)
}

/// The operator's token in this folder, where this user may read it.
pub(super) fn token_in(folder: &Path) -> Option<String> {
    read(folder, TOKEN)
}

fn read(folder: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(folder.join(name)).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// A folder of its own for one test, gone with it.
    pub(in crate::cli) struct Scratch(pub(in crate::cli) PathBuf);

    impl Scratch {
        pub(in crate::cli) fn new() -> Self {
            let path = std::env::temp_dir().join(format!("flowcell-test-{}", crate::mint_token()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        pub(in crate::cli) fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::Scratch;
    use super::*;

    #[test]
    fn the_operators_token_is_minted_once_and_only_its_owner_may_read_it() {
        let scratch = Scratch::new();
        let folder = DataFolder::create(&scratch.0.join("data")).unwrap();
        let (token, path) = folder.operator_token().unwrap();
        assert_eq!(folder.operator_token().unwrap().0, token);
        assert_eq!(token_in(folder.path()), Some(token));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn an_empty_token_file_opens_nothing() {
        let scratch = Scratch::new();
        scratch.write("operator.token", "\n");
        let stop = DataFolder::create(&scratch.0).unwrap().operator_token().unwrap_err();
        assert_eq!(stop.code, 2);
        assert!(stop.text.contains("remove the file to get a new one"), "{}", stop.text);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let scratch = Scratch::new();
        let file = scratch.write("file", "");
        let Err(stop) = DataFolder::create(&file.join("data")) else { panic!("a file is no folder") };
        assert_eq!(stop.code, 2);
        assert!(
            stop.text.starts_with("the data folder ") && stop.text.contains("pass --data"),
            "{}",
            stop.text
        );
    }

    #[test]
    fn the_address_is_there_while_the_host_is() {
        let scratch = Scratch::new();
        let folder = DataFolder::create(&scratch.0).unwrap();
        folder.write_address("http://127.0.0.1:1").unwrap();
        assert_eq!(address_in(&scratch.0).as_deref(), Some("http://127.0.0.1:1"));
        folder.forget_address();
        assert_eq!(address_in(&scratch.0), None);
    }
}
