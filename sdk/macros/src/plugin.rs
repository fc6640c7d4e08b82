//! `plugin!`.

use proc_macro2::TokenStream;
use quote::{ToTokens as _, format_ident, quote};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Ident, LitStr, Path, Result, Token, bracketed};

#[derive(Default)]
struct Plugin {
    actions: Vec<Path>,
    triggers: Vec<Path>,
    importing: Vec<Path>,
    sampling: Vec<Path>,
    name: Option<LitStr>,
    title: Option<LitStr>,
    summary: Option<LitStr>,
}

impl Parse for Plugin {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut plugin = Self::default();
        if input.peek(Ident) && input.peek2(Token![:]) && !input.peek2(Token![::]) {
            plugin.keys(input)?;
        } else {
            plugin.actions = paths(input)?;
        }
        match plugin.actions.is_empty() && plugin.triggers.is_empty() {
            true => Err(input.error("a plugin has an action or a trigger: `plugin!(my_action)`")),
            false => Ok(plugin),
        }
    }
}

impl Plugin {
    fn keys(&mut self, input: ParseStream<'_>) -> Result<()> {
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            input.parse::<Token![:]>()?;
            match key.to_string().as_str() {
                "actions" => self.actions = list(input)?,
                "triggers" => self.triggers = list(input)?,
                "importing" => self.importing = list(input)?,
                "sampling" => self.sampling = list(input)?,
                "name" => self.name = Some(input.parse()?),
                "title" => self.title = Some(input.parse()?),
                "summary" => self.summary = Some(input.parse()?),
                other => {
                    let known = "`actions`, `triggers`, `importing`, `sampling`, `name`, `title`, `summary`";
                    return Err(Error::new(
                        key.span(),
                        format!("`plugin!` has no key `{other}`; it knows {known}"),
                    ));
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(())
    }
}

fn list(input: ParseStream<'_>) -> Result<Vec<Path>> {
    let content;
    bracketed!(content in input);
    paths(&content)
}

fn paths(input: ParseStream<'_>) -> Result<Vec<Path>> {
    Ok(Punctuated::<Path, Token![,]>::parse_terminated(input)?.into_iter().collect())
}

/// The type `Plugin` with its table, and the exports of the component.
pub fn expand(input: TokenStream) -> Result<TokenStream> {
    let plugin: Plugin = syn::parse2(input)?;
    let descriptor = descriptor(&plugin);
    let (actions, triggers) = (&plugin.actions, &plugin.triggers);
    let check = check(&plugin);
    let import = optional("Importing", &plugin.importing, "from_text", &["format", "text"]);
    let sample = optional("Sampling", &plugin.sampling, "sample", &["given"]);
    let listed = listed(&plugin);
    let start = table("action", actions, "start", &["input"]);
    let resume = table("action", actions, "resume", &["state", "event"]);
    let cancel = table("action", actions, "cancel", &["state", "reason"]);
    let enable = table("trigger", triggers, "enable", &["config"]);
    let disable = table("trigger", triggers, "disable", &["config", "state"]);
    let receive = table("trigger", triggers, "receive", &["config"]);
    let component = component(&plugin);
    Ok(quote! {
        /// What the component exports.
        #[derive(Clone, Copy, Debug)]
        pub struct Plugin;

        impl ::flowcell_sdk::Exports for Plugin {
            #descriptor

            fn check(name: &str, written: &str, ctx: &mut ::flowcell_sdk::Context)
                -> ::std::vec::Vec<::flowcell_sdk::Finding> { #check }
            fn import(name: &str, format: &str, text: &str, ctx: &mut ::flowcell_sdk::Context)
                -> ::core::result::Result<::std::string::String, ::std::string::String> { #import }
            fn sample(name: &str, given: &str, ctx: &mut ::flowcell_sdk::Context)
                -> ::core::result::Result<::std::string::String, ::std::string::String> { #sample }

            fn start(name: &str, input: &str, ctx: &mut ::flowcell_sdk::Context)
                -> ::core::result::Result<::flowcell_sdk::Outcome, ::flowcell_sdk::Problem> { #start }
            fn resume(name: &str, state: &[u8], event: &str, ctx: &mut ::flowcell_sdk::Context)
                -> ::core::result::Result<::flowcell_sdk::Outcome, ::flowcell_sdk::Problem> { #resume }
            fn cancel(name: &str, state: &[u8], reason: &str, ctx: &mut ::flowcell_sdk::Context)
                -> ::core::result::Result<(), ::flowcell_sdk::Problem> { #cancel }
            fn enable(name: &str, config: &str, ctx: &mut ::flowcell_sdk::Context)
                -> ::core::result::Result<::std::vec::Vec<u8>, ::flowcell_sdk::Problem> { #enable }
            fn disable(name: &str, config: &str, state: &[u8], ctx: &mut ::flowcell_sdk::Context)
                -> ::core::result::Result<(), ::flowcell_sdk::Problem> { #disable }
            fn receive(name: &str, config: &str, ctx: &mut ::flowcell_sdk::Context)
                -> ::core::result::Result<::std::string::String, ::flowcell_sdk::Problem> { #receive }
        }

        #listed

        #component
    })
}

/// Who checks what was written: by kind first, for an action and a trigger may have the same name.
fn check(plugin: &Plugin) -> TokenStream {
    let (actions, triggers) = (&plugin.actions, &plugin.triggers);
    quote! {
        ::flowcell_sdk::__private::check(
            written,
            (name, ctx),
            &[#((<#actions as ::flowcell_sdk::Action>::NAME, <#actions as ::flowcell_sdk::Action>::check)),*],
            &[#((<#triggers as ::flowcell_sdk::Trigger>::NAME, <#triggers as ::flowcell_sdk::Trigger>::check)),*],
        )
    }
}

/// The body of an export that not every entry has.
fn optional(of: &str, entries: &[Path], export: &str, arguments: &[&str]) -> TokenStream {
    let name = match of {
        "Importing" => quote!(::flowcell_sdk::Action),
        _ => quote!(::flowcell_sdk::Trigger),
    };
    let (of, export) = (format_ident!("{of}"), format_ident!("{export}"));
    let arguments = arguments.iter().map(|argument| format_ident!("{argument}"));
    let arguments = quote!(#(#arguments,)* ctx);
    quote! {
        #(if name == <#entries as #name>::NAME {
            return <#entries as ::flowcell_sdk::#of>::#export(#arguments);
        })*
        let _ = (#arguments);
        ::core::result::Result::Err(::std::format!("`{name}` of this plugin cannot do that"))
    }
}

/// What an attribute names and `plugin!` does not list would never be exported.
fn listed(plugin: &Plugin) -> TokenStream {
    let text = |path: &Path| path.to_token_stream().to_string();
    let is_in = |list: &[Path], entry: &Path| list.iter().any(|other| text(other) == text(entry));
    let importing = plugin.actions.iter().filter(|action| !is_in(&plugin.importing, action));
    let sampling = plugin.triggers.iter().filter(|trigger| !is_in(&plugin.sampling, trigger));
    let (import, sample) = (
        "an action with `imports(…)` stands under `importing` as well: `plugin! { actions: [a], importing: [a] }`",
        "a trigger with `sample` stands under `sampling` as well: `plugin! { triggers: [a], sampling: [a] }`",
    );
    quote! {
        #(const _: () = assert!(<#importing as ::flowcell_sdk::Action>::IMPORTS.is_empty(), "{}", #import);)*
        #(const _: () = assert!(!<#sampling as ::flowcell_sdk::Trigger>::SAMPLES, "{}", #sample);)*
    }
}

fn descriptor(plugin: &Plugin) -> TokenStream {
    let name = match &plugin.name {
        Some(name) => quote!(#name),
        None => quote!(::flowcell_sdk::__private::plugin_name(env!("CARGO_PKG_NAME"))),
    };
    let title = match &plugin.title {
        Some(title) => quote!(#title),
        None => quote!(env!("CARGO_PKG_DESCRIPTION")),
    };
    let summary = plugin.summary.as_ref().map_or_else(|| quote!(""), |summary| quote!(#summary));
    let (actions, triggers) = (&plugin.actions, &plugin.triggers);
    quote! {
        fn descriptor() -> ::flowcell_sdk::Descriptor {
            ::flowcell_sdk::Descriptor {
                name: #name,
                version: env!("CARGO_PKG_VERSION"),
                title: #title,
                summary: #summary,
                licence: env!("CARGO_PKG_LICENSE"),
                source: env!("CARGO_PKG_REPOSITORY"),
                actions: ::std::vec![#(<#actions as ::flowcell_sdk::Action>::describe()),*],
                triggers: ::std::vec![#(<#triggers as ::flowcell_sdk::Trigger>::describe()),*],
            }
        }
    }
}

/// The body of one export: the name is compared with each entry, and the call handed on.
fn table(what: &str, entries: &[Path], export: &str, arguments: &[&str]) -> TokenStream {
    let of = match what {
        "action" => quote!(::flowcell_sdk::Action),
        _ => quote!(::flowcell_sdk::Trigger),
    };
    let export = format_ident!("{export}");
    let arguments: Vec<Ident> = arguments.iter().map(|argument| format_ident!("{argument}")).collect();
    let arguments = quote!(#(#arguments,)* ctx);
    quote! {
        #(if name == <#entries as #of>::NAME {
            return <#entries as #of>::#export(#arguments);
        })*
        let _ = (#arguments);
        ::core::result::Result::Err(::flowcell_sdk::__private::unknown(#what, name, &[#(<#entries as #of>::NAME),*]))
    }
}

/// The exports, on wasm32 only: natively the crate is a library with tests.
fn component(plugin: &Plugin) -> TokenStream {
    let action = (!plugin.actions.is_empty()).then(|| {
        quote!(::flowcell_sdk::bindings::action::export_action!(Exported with_types_in ::flowcell_sdk::bindings::action);)
    });
    let trigger = (!plugin.triggers.is_empty()).then(|| {
        quote!(::flowcell_sdk::bindings::trigger::export_trigger!(Exported with_types_in ::flowcell_sdk::bindings::trigger);)
    });
    let importing = (!plugin.importing.is_empty()).then(|| {
        quote!(::flowcell_sdk::bindings::importing::export_importing!(Exported with_types_in ::flowcell_sdk::bindings::importing);)
    });
    let sampling = (!plugin.sampling.is_empty()).then(|| {
        quote!(::flowcell_sdk::bindings::sampling::export_sampling!(Exported with_types_in ::flowcell_sdk::bindings::sampling);)
    });
    quote! {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, missing_docs, unused_qualifications)]
        const _: () = {
            type Exported = ::flowcell_sdk::export::Exported<Plugin>;
            ::flowcell_sdk::bindings::checking::export_checking!(Exported with_types_in ::flowcell_sdk::bindings::checking);
            #action
            #trigger
            #importing
            #sampling
        };
    }
}
