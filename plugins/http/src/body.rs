//! A value as the bytes of a request body.
//!
//! Values are inserted as values: no text is pasted into another, so a quote or a line break breaks nothing.

use std::borrow::Cow;

use flowcell_sdk::prelude::*;
use flowcell_sdk::urlencoded;
use serde_json::value::RawValue;

use crate::base;
use crate::input::ContentType;
use crate::multipart;
use crate::rows::Rows;

/// The bytes, and the content type that fits where none was said.
pub struct Encoded {
    /// What is sent.
    pub bytes: Vec<u8>,
    /// The header's value.
    pub content_type: Cow<'static, str>,
}

/// How a value is written, once the content type is known.
enum Form {
    Json,
    Urlencoded,
    Base64,
    Multipart,
    Text,
}

/// Writes a value. `said`: the parameter `contentType`; `header`: the author's own `content-type`.
pub fn encode(body: &RawValue, said: Option<&ContentType>, header: Option<&str>) -> Result<Encoded, Problem> {
    let form = match (said, header) {
        (Some(said), _) => form_of(said),
        (None, Some(media)) => form_of_media(media),
        (None, None) if body.get().starts_with('"') => Form::Text,
        (None, None) => Form::Json,
    };
    let bytes = match form {
        Form::Multipart if header.is_some() => {
            return Err(Problem::validation(
                "`contentType: multipart` writes the header `content-type` itself, with a boundary; leave that out",
            ));
        }
        Form::Multipart => {
            let (bytes, content_type) = multipart::encode(body)?;
            return Ok(Encoded { bytes, content_type: content_type.into() });
        }
        Form::Json => json(body)?,
        Form::Urlencoded => urlencoded(body)?,
        Form::Base64 => base64(body)?,
        Form::Text => text(body)?,
    };
    let content_type = match (said, form) {
        (Some(said), _) => Cow::Owned(said.header().to_owned()),
        (None, Form::Json) => "application/json".into(),
        (None, _) => "text/plain; charset=utf-8".into(),
    };
    Ok(Encoded { bytes, content_type })
}

fn form_of(content_type: &ContentType) -> Form {
    match content_type {
        ContentType::Json => Form::Json,
        ContentType::Form => Form::Urlencoded,
        ContentType::Binary => Form::Base64,
        ContentType::Multipart => Form::Multipart,
        ContentType::Text | ContentType::Xml => Form::Text,
        ContentType::Media(media) => form_of_media(media),
    }
}

fn form_of_media(media: &str) -> Form {
    match essence(media).as_str() {
        "application/x-www-form-urlencoded" => Form::Urlencoded,
        media if is_json(media) => Form::Json,
        _ => Form::Text,
    }
}

/// A media type without its parameters, lower case.
pub fn essence(media: &str) -> String {
    media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether a media type, lower case and without parameters, is JSON.
pub fn is_json(essence: &str) -> bool {
    essence == "application/json" || essence.ends_with("+json")
}

/// A value as JSON. A string is JSON text already, and is sent as it is.
fn json(body: &RawValue) -> Result<Vec<u8>, Problem> {
    match string(body)? {
        None => Ok(body.get().as_bytes().to_vec()),
        Some(text) => flowcell_sdk::json::pass(text.into_bytes()).map(|raw| raw.get().as_bytes().to_vec()).map_err(
            |(broken, _)| {
                Problem::validation(format!(
                    "`body` is text that is to be sent as JSON, but it is not JSON ({broken}); write the value itself, \
                     or `contentType: text`"
                ))
            },
        ),
    }
}

fn urlencoded(body: &RawValue) -> Result<Vec<u8>, Problem> {
    if let Some(text) = string(body)? {
        return Ok(text.into_bytes());
    }
    let Rows(rows) = flowcell_sdk::input::parse(body.get())
        .map_err(|problem| Problem::validation(format!("`body` as a form: {}", problem.detail_text())))?;
    let mut form = String::new();
    for (name, value) in rows.iter().filter(|(name, _)| !name.is_empty()) {
        urlencoded::push_form(&mut form, name, value);
    }
    Ok(form.into_bytes())
}

fn base64(body: &RawValue) -> Result<Vec<u8>, Problem> {
    let text = string(body)?
        .ok_or_else(|| Problem::validation("`contentType: binary` takes a `body` of base64 text"))?;
    base::decode(&text)
        .ok_or_else(|| Problem::validation("`body` is not base64, which `contentType: binary` takes"))
}

fn text(body: &RawValue) -> Result<Vec<u8>, Problem> {
    if let Some(text) = string(body)? {
        return Ok(text.into_bytes());
    }
    match body.get().starts_with(['{', '[']) {
        false => Ok(body.get().as_bytes().to_vec()),
        true => Err(Problem::validation(
            "`body` is an object or a list, which this content type cannot carry; use `contentType: json` or `form`, or \
             write the text",
        )),
    }
}

/// The text of a JSON string; none where the value is something else.
fn string(body: &RawValue) -> Result<Option<String>, Problem> {
    match body.get().starts_with('"') {
        true => flowcell_sdk::input::parse(body.get()).map(Some),
        false => Ok(None),
    }
}
