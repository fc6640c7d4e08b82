//! Values in the place of their placeholders, each written as its place demands: a quote or a line break in a secret
//! changes nothing around it.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use memchr::memmem;
use url::Host;

use super::credentials::Credentials;
use super::secret::Secret;
use crate::id::PLACEHOLDER;
use crate::redact::{self, Redactor};

/// The secrets that one request holds.
#[derive(Debug, Default)]
pub(crate) struct Filling {
    secrets: Vec<Replacement>,
}

#[derive(Debug)]
struct Replacement {
    placeholder: String,
    secret: Arc<Secret>,
}

/// Where a placeholder stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Behind the authority of a URL.
    Url,
    /// The value of a header, or a part of credentials.
    Header,
    /// A body of JSON.
    Json,
    /// A form.
    Form,
    /// XML or HTML.
    Xml,
    /// Any other body.
    Text,
}

impl Place {
    /// The place that a body of this content type is.
    pub fn of_body(content_type: Option<&str>) -> Self {
        let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default();
        let essence = essence.trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/x-www-form-urlencoded" => Self::Form,
            "application/json" | "text/json" => Self::Json,
            "application/xml" | "text/xml" | "text/html" => Self::Xml,
            other if other.ends_with("+json") => Self::Json,
            other if other.ends_with("+xml") => Self::Xml,
            _ => Self::Text,
        }
    }

    /// The value as it is written there.
    pub(crate) fn write(self, value: &str) -> Cow<'_, str> {
        match self {
            Self::Url | Self::Form => redact::in_url(value),
            Self::Json => redact::in_json(value),
            Self::Xml => redact::in_xml(value),
            Self::Header | Self::Text => Cow::Borrowed(value),
        }
    }
}

impl Filling {
    /// What a request with these parts holds. The error is a sentence: a secret is not there.
    pub fn of<'a>(
        credentials: &Credentials,
        parts: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Result<Self, String> {
        let mut secrets = Vec::new();
        let mut found = count(PLACEHOLDER.as_bytes(), parts.clone());
        if found > 0 {
            for (placeholder, name) in credentials.placeholders() {
                let occurs = count(placeholder.as_bytes(), parts.clone());
                if occurs > 0 {
                    found -= occurs.min(found);
                    let secret = credentials.named(name)?;
                    secrets.push(Replacement { placeholder, secret });
                }
            }
        }
        // Sent as it is, it would be a credential that means nothing to anybody.
        match found {
            0 => Ok(Self { secrets }),
            _ => Err("the request holds what stands for a secret of another run or flow: take it from `$secrets` here".to_owned()),
        }
    }

    /// Whether there is nothing to fill in.
    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    /// Whether that text holds a placeholder.
    pub fn concerns(&self, text: &[u8]) -> bool {
        self.secrets
            .iter()
            .any(|replacement| memmem::find(text, replacement.placeholder.as_bytes()).is_some())
    }

    /// Whether all of it may be sent there. The error is a sentence: where it may be.
    pub fn admit(&self, host: &Host<&str>, port: u16) -> Result<(), String> {
        match self.secrets.iter().find(|replacement| !replacement.secret.hosts.admit(host, port)) {
            None => Ok(()),
            Some(Replacement { secret, .. }) => Err(format!(
                "the secret `{}` is not sent to {host}: it is bound to {}",
                secret.name,
                secret.hosts.listed()
            )),
        }
    }

    /// A text with the values in it. The error is a sentence: it grows beyond the limit, which is found before it does.
    pub fn text<'t>(&self, text: &'t str, place: Place, limit: usize) -> Result<Cow<'t, str>, String> {
        match self.bytes(text.as_bytes(), place, limit)? {
            None => Ok(Cow::Borrowed(text)),
            Some(filled) => String::from_utf8(filled).map(Cow::Owned).map_err(|error| error.to_string()),
        }
    }

    /// A body with the values in it. The error as for a text.
    pub fn body(&self, body: &Bytes, place: Place, limit: usize) -> Result<Bytes, String> {
        Ok(self.bytes(body, place, limit)?.map_or_else(|| body.clone(), Bytes::from))
    }

    fn bytes(&self, text: &[u8], place: Place, limit: usize) -> Result<Option<Vec<u8>>, String> {
        let mut filled: Option<Vec<u8>> = None;
        for Replacement { placeholder, secret } in &self.secrets {
            let now = filled.as_deref().unwrap_or(text);
            let value = place.write(secret.value.expose());
            let count = memmem::find_iter(now, placeholder.as_bytes()).count();
            let grown = now.len() - count * placeholder.len() + count * value.len();
            if count > 0 && grown > limit {
                return Err(format!(
                    "with the secret `{}` in it {count} times it has {grown} bytes; {limit} are allowed",
                    secret.name
                ));
            }
            filled = replace(now, placeholder.as_bytes(), value.as_bytes()).or(filled);
        }
        Ok(filled)
    }

    /// Hides the values from now on.
    pub fn guard(&self, redactor: &mut Redactor) {
        self.secrets.iter().for_each(|replacement| redactor.hide(replacement.secret.value.expose()));
    }
}

fn count<'a>(wanted: &[u8], parts: impl Iterator<Item = &'a [u8]>) -> usize {
    let finder = memmem::Finder::new(wanted);
    parts.map(|part| finder.find_iter(part).count()).sum()
}

/// None where there is nothing to replace.
fn replace(text: &[u8], wanted: &[u8], with: &[u8]) -> Option<Vec<u8>> {
    let mut replaced: Option<Vec<u8>> = None;
    let mut rest = 0;
    for at in memmem::find_iter(text, wanted) {
        let replaced = replaced.get_or_insert_with(|| Vec::with_capacity(text.len()));
        replaced.extend_from_slice(&text[rest..at]);
        replaced.extend_from_slice(with);
        rest = at + wanted.len();
    }
    let mut replaced = replaced?;
    replaced.extend_from_slice(&text[rest..]);
    Some(replaced)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::{SecretDocument, Vault};
    use super::*;
    use crate::id::{CallbackAddress, CallbackKey, RunId, TenantId};

    const VALUE: &str = "a\"b&c=d é/\n";

    pub fn credentials(name: &str, value: &str, hosts: &[&str]) -> (Credentials, String) {
        let vault = Arc::new(Vault::default());
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        let document = SecretDocument { value: value.to_owned().into(), hosts };
        vault.put_secret(Secret::new(name, document).unwrap(), None);
        let run = CallbackAddress {
            base_url: "http://h".into(),
            key: CallbackKey::new([7; 32]),
            tenant: TenantId::default_tenant(),
            run: RunId::mint(),
        };
        let placeholder = run.placeholder(name);
        let secrets: Arc<[String]> = [name.to_owned(), "other".to_owned()].into();
        (Credentials::of_step(vault, [].into(), secrets, run), placeholder)
    }

    #[test]
    fn a_value_is_written_as_its_place_demands() {
        let (credentials, placeholder) = credentials("key", VALUE, &["a.example"]);
        let text = format!("<{placeholder}>{placeholder}");
        let filling = Filling::of(&credentials, [text.as_bytes()].into_iter()).unwrap();
        let twice = |once: &str| format!("<{once}>{once}");
        for (content_type, once) in [
            ("application/json; charset=utf-8", "a\\\"b&c=d é/\\n"),
            ("application/problem+JSON", "a\\\"b&c=d é/\\n"),
            ("application/x-www-form-urlencoded", "a%22b%26c%3Dd%20%C3%A9%2F%0A"),
            ("application/soap+xml", "a&quot;b&amp;c=d é/\n"),
            ("text/plain", VALUE),
            ("", VALUE),
        ] {
            let filled =
                filling.body(&Bytes::from(text.clone()), Place::of_body(Some(content_type)), 1000).unwrap();
            assert_eq!(std::str::from_utf8(&filled).unwrap(), twice(once), "{content_type}");
        }
        assert_eq!(filling.text(&text, Place::Url, 1000).unwrap(), twice("a%22b%26c%3Dd%20%C3%A9%2F%0A"));
        assert_eq!(filling.text("nothing", Place::Header, 0).unwrap(), "nothing");
        let error = filling.text(&text, Place::Header, 20).unwrap_err();
        assert_eq!(error, "with the secret `key` in it 2 times it has 26 bytes; 20 are allowed");
    }

    #[test]
    fn what_comes_back_is_taken_out_in_every_spelling() {
        for value in [redact::tests::HARD, VALUE] {
            let (credentials, placeholder) = credentials("key", value, &[]);
            let filling = Filling::of(&credentials, [placeholder.as_bytes()].into_iter()).unwrap();
            let mut redactor = Redactor::default();
            filling.guard(&mut redactor);
            let filled = |place| {
                ("as it was filled in", filling.text(&placeholder, place, 1000).unwrap().into_owned())
            };
            let sent =
                [Place::Text, Place::Header, Place::Url, Place::Json, Place::Form, Place::Xml].map(filled);
            for (spelling, said) in redact::tests::spellings(value).into_iter().chain(sent) {
                let body = redactor.without(format!("you said {said}!").as_bytes()).unwrap_or_default();
                assert_eq!(String::from_utf8_lossy(&body), "you said ***!", "{spelling}: {said}");
            }
        }
    }

    #[test]
    fn a_secret_goes_to_its_hosts_alone() {
        let (credentials, placeholder) = credentials("key", VALUE, &["a.example"]);
        let filling = Filling::of(&credentials, [placeholder.as_bytes()].into_iter()).unwrap();
        assert_eq!(filling.admit(&Host::Domain("a.example"), 443), Ok(()));
        assert_eq!(
            filling.admit(&Host::Domain("b.example"), 443).unwrap_err(),
            "the secret `key` is not sent to b.example: it is bound to a.example"
        );
        let nothing = Filling::of(&credentials, [b"x".as_slice()].into_iter()).unwrap();
        assert!(nothing.is_empty() && nothing.admit(&Host::Domain("b.example"), 443).is_ok());
    }

    #[test]
    fn a_secret_that_is_not_set_is_named() {
        let (credentials, _) = credentials("key", VALUE, &[]);
        let (placeholder, _) = credentials.placeholders().find(|(_, name)| *name == "other").unwrap();
        let error = Filling::of(&credentials, [placeholder.as_bytes()].into_iter()).unwrap_err();
        assert_eq!(error, "there is no secret `other`: set it with `flowcell secrets set other`");
    }

    #[test]
    fn what_stands_for_a_secret_of_another_run_is_not_sent() {
        let (credentials, _) = credentials("key", VALUE, &[]);
        let (_, other) = self::credentials("key", VALUE, &[]);
        let error = Filling::of(&credentials, [other.as_bytes()].into_iter()).unwrap_err();
        assert!(error.contains("another run or flow"), "{error}");
    }

    #[test]
    fn a_placeholder_survives_every_encoding() {
        let (credentials, _) = credentials("Key_2.old-x", VALUE, &[]);
        let (placeholder, _) = credentials.placeholders().next().unwrap();
        for place in [Place::Url, Place::Json, Place::Form, Place::Xml] {
            assert_eq!(place.write(&placeholder), placeholder, "{place:?}");
        }
    }
}
