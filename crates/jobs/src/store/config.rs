use std::fmt;
use std::path::PathBuf;

use super::{Store, StoreError};
use service::{SettingError, Settings, Variable};

pub(crate) const STORAGE_URL: Variable = Variable {
    name: "STORAGE_URL",
    default: "",
    about: "Bucket (s3://name/prefix, gs://, az://) or folder for uploads and results; replaces UPLOAD_DIR and \
            RESULTS_DIR",
};
pub(crate) const UPLOAD_DIR: Variable =
    Variable { name: "UPLOAD_DIR", default: "storage/uploads", about: "Folder of the uploaded pictures" };
pub(crate) const RESULTS_DIR: Variable =
    Variable { name: "RESULTS_DIR", default: "storage/results", about: "Folder of the results" };

/// What the providers of buckets call their own settings, credentials among them.
const PROVIDERS: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];

/// Where uploads and results are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    pub place: Place,
    /// Names of the settings that say where uploads and results are.
    settings: [&'static str; 2],
}

/// A kind of place.
#[derive(Clone, PartialEq, Eq)]
pub enum Place {
    /// `UPLOAD_DIR` and `RESULTS_DIR`, or the folders `uploads` and `results` in `STORAGE_URL`.
    Folders { uploads: PathBuf, results: PathBuf },
    /// `STORAGE_URL`, and the provider's own settings.
    Objects { url: String, options: Vec<(String, String)> },
}

/// Without the providers' settings, which hold secrets.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folders { uploads, results } => write!(f, "{} and {}", uploads.display(), results.display()),
            Self::Objects { url, .. } => f.write_str(url),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl StoreConfig {
    /// Reads where to keep things.
    ///
    /// # Errors
    /// When a setting cannot be read.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        Self::read(settings, cfg!(feature = "object-storage"))
    }

    fn read(settings: &Settings, has_buckets: bool) -> Result<Self, SettingError> {
        let Some(url) = settings.text(&STORAGE_URL) else {
            let (uploads, results) = (settings.require(&UPLOAD_DIR)?, settings.require(&RESULTS_DIR)?);
            let place = Place::Folders { uploads, results };
            return Ok(Self { place, settings: [UPLOAD_DIR.name, RESULTS_DIR.name] });
        };
        let place = match url.split_once("://") {
            Some(("s3" | "gs" | "az" | "abfs" | "abfss", _)) if has_buckets => {
                Place::Objects { options: settings.starting_with(&PROVIDERS), url }
            }
            Some(("s3" | "gs" | "az" | "abfs" | "abfss", _)) => {
                let problem = "is a bucket, which this build cannot use; build it with `--features object-storage`";
                return Err(STORAGE_URL.refuse(url, problem));
            }
            Some(("file", path)) if path.starts_with('/') => folders(path),
            None => folders(&url),
            Some(_) => {
                let problem = "is neither a folder nor an address that starts with s3://, gs:// or az://";
                return Err(STORAGE_URL.refuse(url, problem));
            }
        };
        Ok(Self { place, settings: [STORAGE_URL.name; 2] })
    }

    /// Opens the place and proves that it can be used.
    ///
    /// # Errors
    /// When it cannot.
    pub async fn open(&self) -> Result<Store, StoreError> {
        match &self.place {
            Place::Folders { uploads, results } => Store::open_folders(uploads, results, self.settings).await,
            #[cfg(feature = "object-storage")]
            Place::Objects { url, options } => Store::open_objects(url, options).await,
            #[cfg(not(feature = "object-storage"))]
            Place::Objects { url, .. } => Err(StoreError::Io {
                what: format!("opening {url}"),
                source: std::io::Error::new(std::io::ErrorKind::Unsupported, "built without object-storage"),
            }),
        }
    }
}

fn folders(path: &str) -> Place {
    let folder = PathBuf::from(path);
    Place::Folders { uploads: folder.join("uploads"), results: folder.join("results") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Place, SettingError> {
        StoreConfig::from_settings(&Settings::from_pairs(pairs.iter().copied())).map(|config| config.place)
    }

    #[test]
    fn folders_are_named_in_two_ways() {
        assert_eq!(read(&[]).unwrap().to_string(), "storage/uploads and storage/results");
        for url in ["/mnt/shared", "file:///mnt/shared"] {
            let place = read(&[("STORAGE_URL", url), ("UPLOAD_DIR", "elsewhere")]).unwrap();
            assert_eq!(place.to_string(), "/mnt/shared/uploads and /mnt/shared/results");
        }
    }

    #[test]
    fn other_addresses_are_refused() {
        for url in ["ftp://host/x", "file://relative", "http://host/bucket"] {
            assert_eq!(read(&[("STORAGE_URL", url)]).unwrap_err().name, "STORAGE_URL");
        }
    }

    #[test]
    fn buckets_keep_their_secrets() {
        let pairs = [("STORAGE_URL", "s3://b/p"), ("AWS_SECRET_ACCESS_KEY", "hush"), ("HOME", "/x")];
        let place = StoreConfig::read(&Settings::from_pairs(pairs), true).unwrap().place;
        assert_eq!(format!("{place} {place:?}"), "s3://b/p s3://b/p");
        let Place::Objects { options, .. } = place else { panic!("a bucket is not a folder") };
        assert_eq!(options, [("aws_secret_access_key".to_owned(), "hush".to_owned())]);
    }

    #[test]
    fn a_build_without_buckets_says_so() {
        let error = StoreConfig::read(&Settings::from_pairs([("STORAGE_URL", "s3://bucket")]), false).unwrap_err();
        assert!(error.to_string().contains("object-storage"), "{error}");
    }
}
