use std::io::{self, ErrorKind};
use std::str::FromStr;
use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{ObjectStore, ObjectStoreScheme};
use url::Url;

use super::{Objects, Scratch};
use crate::store::{Store, StoreError};

type Opened = object_store::Result<(Arc<dyn ObjectStore>, Arc<dyn Signer>)>;

impl Store {
    /// Opens a bucket such as `s3://name/prefix` and proves that it can be written to. `options` are
    /// the provider's own settings, such as `aws_access_key_id`.
    ///
    /// # Errors
    /// When it cannot be used.
    pub async fn open_objects(url: &str, options: &[(String, String)]) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Io { what: format!("opening {url} (STORAGE_URL)"), source };
        let objects = open(url, options).map_err(failed)?;
        objects.prepare().await.map_err(failed)?;
        Ok(Self::on(objects))
    }
}

fn open(url: &str, options: &[(String, String)]) -> io::Result<Objects> {
    // The HTTP client asks the process for its cryptography. One that is installed already is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let parsed = Url::parse(url).map_err(|err| io::Error::new(ErrorKind::InvalidInput, err))?;
    let (scheme, prefix) = ObjectStoreScheme::parse(&parsed).map_err(io::Error::other)?;
    let (store, signer) = match scheme {
        ObjectStoreScheme::AmazonS3 => s3(url, options),
        ObjectStoreScheme::GoogleCloudStorage => google(url, options),
        ObjectStoreScheme::MicrosoftAzure => azure(url, options),
        _ => return Err(io::Error::new(ErrorKind::Unsupported, "it is none of s3://, gs:// and az://")),
    }?;
    let prefix = Path::parse(prefix).map_err(io::Error::other)?;
    let scratch = Scratch::of(url, options);
    Ok(Objects { store, signer: Some(signer), prefix, url: url.to_owned(), scratch })
}

fn s3(url: &str, options: &[(String, String)]) -> Opened {
    let builder = AmazonS3Builder::new().with_url(url);
    let built =
        known(options).fold(builder, |builder, (key, value): (AmazonS3ConfigKey, _)| builder.with_config(key, value));
    let built = Arc::new(built.build()?);
    Ok((built.clone(), built))
}

fn google(url: &str, options: &[(String, String)]) -> Opened {
    let builder = GoogleCloudStorageBuilder::new().with_url(url);
    let built =
        known(options).fold(builder, |builder, (key, value): (GoogleConfigKey, _)| builder.with_config(key, value));
    let built = Arc::new(built.build()?);
    Ok((built.clone(), built))
}

fn azure(url: &str, options: &[(String, String)]) -> Opened {
    let builder = MicrosoftAzureBuilder::new().with_url(url);
    let built =
        known(options).fold(builder, |builder, (key, value): (AzureConfigKey, _)| builder.with_config(key, value));
    let built = Arc::new(built.build()?);
    Ok((built.clone(), built))
}

/// The options that a provider knows; the environment holds others of the same beginning.
fn known<K: FromStr>(options: &[(String, String)]) -> impl Iterator<Item = (K, &String)> {
    options.iter().filter_map(|(name, value)| Some((name.parse().ok()?, value)))
}
