//! `plugin!`.

use proc_macro2::TokenStream;
use quote::{ToTokens as _, format_ident, quote};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Ident, LitStr, Path, Result, Token, bracketed};

use crate::attribute::kebab;

#[derive(Default)]
struct Plugin {
    actions: Vec<Path>,
    triggers: Vec<Path>,
    imports: Vec<Format>,
    sampling: Vec<Path>,
    name: Option<LitStr>,
    title: Option<LitStr>,
    summary: Option<LitStr>,
}

/// A format of texts, and the function that makes steps of them.
struct Format {
    name: String,
    function: Path,
}

impl Parse for Format {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let name: Ident = input.parse()?;
        if !input.peek(Token![=]) {
            return Err(Error::new(
                name.span(),
                format!("say which function reads this format: `imports: [{name} = my_function]`"),
            ));
        }
        input.parse::<Token![=]>()?;
        Ok(Self { name: kebab(&name), function: input.parse()? })
    }
}

impl Parse for Plugin {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut plugin = Self::default();
        if input.peek(Ident) && input.peek2(Token![:]) && !input.peek2(Token![::]) {
            plugin.keys(input)?;
        } else {
            plugin.actions = entries(input)?;
        }
        match plugin.actions.is_empty() && plugin.triggers.is_empty() && plugin.imports.is_empty() {
            true => Err(input.error("a plugin has an action, a trigger or an import: `plugin!(my_action)`")),
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
                "imports" => self.imports = list(input)?,
                "sampling" => self.sampling = list(input)?,
                "name" => self.name = Some(input.parse()?),
                "title" => self.title = Some(input.parse()?),
                "summary" => self.summary = Some(input.parse()?),
                other => {
                    let known = "`actions`, `triggers`, `imports`, `sampling`, `name`, `title`, `summary`";
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

fn list<T: Parse>(input: ParseStream<'_>) -> Result<Vec<T>> {
    let content;
    bracketed!(content in input);
    entries(&content)
}

fn entries<T: Parse>(input: ParseStream<'_>) -> Result<Vec<T>> {
    Ok(Punctuated::<T, Token![,]>::parse_terminated(input)?.into_iter().collect())
}

/// The type `Plugin` with its table, and the exports of the component.
pub fn expand(input: TokenStream) -> Result<TokenStream> {
    let plugin: Plugin = syn::parse2(input)?;
    let descriptor = descriptor(&plugin);
    let (actions, triggers) = (&plugin.actions, &plugin.triggers);
    let check = check(&plugin);
    let (import, sample, listed) = (import(&plugin), sample(&plugin), listed(&plugin));
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
            fn import(format: &str, text: &str, ctx: &mut ::flowcell_sdk::Context)
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

/// Who makes a step of a text: by its format.
fn import(plugin: &Plugin) -> TokenStream {
    let importers = plugin.imports.iter().map(|Format { name, function }| quote!((#name, #function)));
    quote!(::flowcell_sdk::__private::import(format, (text, ctx), &[#(#importers),*]))
}

/// Who reads samples, which not every trigger does.
fn sample(plugin: &Plugin) -> TokenStream {
    let sampling = &plugin.sampling;
    quote! {
        #(if name == <#sampling as ::flowcell_sdk::Trigger>::NAME {
            return <#sampling as ::flowcell_sdk::Sampling>::sample(given, ctx);
        })*
        let _ = (given, ctx);
        ::core::result::Result::Err(::std::format!("`{name}` of this plugin cannot do that"))
    }
}

/// What an attribute names and `plugin!` does not list would never be exported.
fn listed(plugin: &Plugin) -> TokenStream {
    let text = |path: &Path| path.to_token_stream().to_string();
    let is_listed = |trigger: &Path| plugin.sampling.iter().any(|other| text(other) == text(trigger));
    let unlisted = plugin.triggers.iter().filter(|trigger| !is_listed(trigger));
    let why =
        "a trigger with `sample` stands under `sampling` as well: `plugin! { triggers: [a], sampling: [a] }`";
    quote! {
        #(const _: () = assert!(!<#unlisted as ::flowcell_sdk::Trigger>::SAMPLES, "{}", #why);)*
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
    let imports = plugin.imports.iter().map(|format| &format.name);
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
                imports: &[#(#imports),*],
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
    // A plugin that only imports describes itself there.
    let action = (!plugin.actions.is_empty() || plugin.triggers.is_empty()).then(|| {
        quote!(::flowcell_sdk::bindings::action::export_action!(Exported with_types_in ::flowcell_sdk::bindings::action);)
    });
    let trigger = (!plugin.triggers.is_empty()).then(|| {
        quote!(::flowcell_sdk::bindings::trigger::export_trigger!(Exported with_types_in ::flowcell_sdk::bindings::trigger);)
    });
    let importing = (!plugin.imports.is_empty()).then(|| {
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
