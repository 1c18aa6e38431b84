//! `report.html`: `report.md` as one file to open or send, with its pictures in it, a table of contents and no script.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pulldown_cmark::html::push_html;
use pulldown_cmark::{Event, HeadingLevel, LinkType, Options, Parser, Tag, TagEnd};

const STYLE: &str = include_str!("report.css");

/// The page of a report in Markdown, as XHTML. `picture` has the PNG of an image by its path; where there is none, the
/// image's description stands alone. HTML in the report is shown as text, and links lead to the web or nowhere.
pub fn page(title: &str, markdown: &str, picture: impl Fn(&str) -> Option<Vec<u8>>) -> String {
    let events = Parser::new_ext(markdown, Options::ENABLE_TABLES).flat_map(|event| self_contained(event, &picture));
    let mut events: Vec<Event> = events.collect();
    let contents = render(contents(&name_sections(&mut events)));
    let (title, body) = (render([Event::Text(title.into())]), render(events));
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\" />\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\" />\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <nav aria-label=\"Contents\">\n{contents}</nav>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )
}

fn render<'a>(events: impl IntoIterator<Item = Event<'a>>) -> String {
    let mut html = String::new();
    push_html(&mut html, events.into_iter());
    html
}

/// The event, or what stands for it in a file that loads nothing and runs nothing; tables get a frame to scroll in.
fn self_contained<'a>(event: Event<'a>, picture: &impl Fn(&str) -> Option<Vec<u8>>) -> Vec<Event<'a>> {
    let markup = |html: &'static str| Event::InlineHtml(html.into());
    match event {
        Event::Html(text) | Event::InlineHtml(text) => vec![Event::Text(text)],
        Event::Start(Tag::HtmlBlock) => vec![Event::Start(Tag::Paragraph)],
        Event::End(TagEnd::HtmlBlock) => vec![Event::End(TagEnd::Paragraph)],
        Event::Start(Tag::Table(_)) => vec![markup("<div class=\"table\" tabindex=\"0\">"), event],
        Event::End(TagEnd::Table) => vec![event, markup("</div>\n")],
        Event::Start(Tag::Image { link_type, dest_url, title, id }) => vec![match picture(&dest_url) {
            Some(png) => {
                let dest_url = format!("data:image/png;base64,{}", STANDARD.encode(png)).into();
                Event::Start(Tag::Image { link_type, dest_url, title, id })
            }
            // The description follows as text; an image's end writes nothing.
            None => markup("<strong>A picture that could not be made here:</strong> "),
        }],
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            let is_web =
                link_type == LinkType::Email || dest_url.starts_with("https://") || dest_url.starts_with("http://");
            let dest_url = if is_web { dest_url } else { "#".into() };
            vec![Event::Start(Tag::Link { link_type, dest_url, title, id })]
        }
        _ => vec![event],
    }
}

/// Gives each section's heading an id; the ids with the headings' words.
fn name_sections(events: &mut [Event]) -> Vec<(String, String)> {
    let mut sections = vec![];
    for index in 0..events.len() {
        let (heading, rest) = events[index..].split_first_mut().expect("an index within");
        if let Event::Start(Tag::Heading { level: HeadingLevel::H2, id, .. }) = heading {
            let name = format!("section-{}", sections.len() + 1);
            *id = Some(name.clone().into());
            let words = rest.iter().take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_))));
            let words = words.filter_map(|event| match event {
                Event::Text(text) | Event::Code(text) => Some(text.as_ref()),
                _ => None,
            });
            sections.push((name, words.collect()));
        }
    }
    sections
}

/// A list of links to the sections.
fn contents(sections: &[(String, String)]) -> Vec<Event<'_>> {
    let link = |id: &str| Tag::Link {
        link_type: LinkType::Inline,
        dest_url: format!("#{id}").into(),
        title: "".into(),
        id: "".into(),
    };
    let item = |(id, words): &'_ (String, String)| {
        [
            Event::Start(Tag::Item),
            Event::Start(link(id)),
            Event::Text(words.clone().into()),
            Event::End(TagEnd::Link),
            Event::End(TagEnd::Item),
        ]
    };
    let items = sections.iter().flat_map(item);
    std::iter::once(Event::Start(Tag::List(None))).chain(items).chain([Event::End(TagEnd::List(false))]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Study, render_all, tests::example};
    use std::collections::HashMap;

    fn rendered(study: &Study) -> (String, HashMap<String, Vec<u8>>) {
        let files = render_all(study).unwrap().into_iter().filter_map(|file| Some((file.path, file.bytes?)));
        let files: HashMap<String, Vec<u8>> = files.collect();
        let markdown = String::from_utf8(files["report.md"].clone()).unwrap();
        (page(&study.name, &markdown, |path| files.get(path).cloned()), files)
    }

    /// The tags in order; fails where one is not closed or closed twice.
    fn well_formed(html: &str) -> Vec<&str> {
        let mut open = vec![];
        let tags: Vec<&str> =
            html.split('<').skip(1).map(|piece| piece.split_once('>').expect("a tag has an end").0).collect();
        for tag in &tags {
            match tag.strip_prefix('/') {
                Some(name) => assert_eq!(open.pop(), Some(name)),
                None if tag.ends_with('/') || tag.starts_with("!DOCTYPE") => {}
                None => open.push(tag.split(' ').next().unwrap()),
            }
        }
        assert!(open.is_empty(), "{open:?} are not closed");
        tags
    }

    #[test]
    fn one_file_has_every_picture_with_its_description() {
        let study = example::accidents();
        let (html, files) = rendered(&study);
        let tags = well_formed(&html);
        let markdown = String::from_utf8(files["report.md"].clone()).unwrap();
        let expected = markdown.lines().filter_map(|line| line.strip_prefix("![")?.strip_suffix(')')?.split_once("]("));
        let images = tags.iter().filter_map(|tag| tag.strip_prefix("img src=\"data:image/png;base64,"));
        let images: Vec<&str> = images.map(|image| image.strip_suffix("\" /").unwrap()).collect();
        assert_eq!(images.len(), files.keys().filter(|path| path.ends_with(".png")).count());
        for (image, (description, path)) in images.into_iter().zip(expected) {
            let (png, shown) = image.split_once("\" alt=\"").unwrap();
            assert_eq!(
                (STANDARD.decode(png).unwrap() == files[path], shown),
                (true, description.replace('\\', "").as_str())
            );
        }
        for word in ["src=\"plots", "http:", "https:", "<link", "<script", "url("] {
            assert!(!html.contains(word), "report.html has {word}");
        }
        assert!(html.contains("<title>lenet_ablation</title>") && html.contains("<html lang=\"en\">"));
    }

    #[test]
    fn the_contents_lead_to_every_section() {
        let (html, files) = rendered(&example::accidents());
        let tags = well_formed(&html);
        let links: Vec<&str> = tags.iter().filter_map(|tag| tag.strip_prefix("a href=\"#")).collect();
        let ids: Vec<&str> = tags.iter().filter_map(|tag| tag.strip_prefix("h2 id=\"")).collect();
        assert_eq!(links, ids);
        let markdown = String::from_utf8_lossy(&files["report.md"]);
        assert_eq!(ids.len(), markdown.lines().filter(|line| line.starts_with("## ")).count());
        assert!(html.contains("<a href=\"#section-1\">In short</a>"));
    }

    #[test]
    fn nothing_a_user_writes_becomes_markup_or_loads_anything() {
        let mut study = example::accidents();
        study.name = "<script>alert('name')</script>".into();
        study.blocks[0].title = Some("<script>alert('title')</script> &lt;".into());
        study.description = Some(
            "<script>alert('inline')</script> <img src=x onerror=alert(1)> [link](javascript:alert(1)) ![file](secret.txt)\n\n\
             <script>\nalert('block')\n</script>\n\n<!-- comment -->\n\n[web](https://example.org/?a&b)"
                .into(),
        );
        let (html, _) = rendered(&study);
        let tags = well_formed(&html);
        let loads = |tag: &&&str| {
            tag.starts_with("script")
                || tag.starts_with("img src=x")
                || tag.contains("javascript:")
                || tag.contains("secret")
        };
        assert_eq!(tags.iter().find(loads), None);
        for word in ["alert('name')", "alert('title')", "alert('inline')", "\nalert('block')\n"] {
            assert!(html.contains(&format!("&lt;script&gt;{word}")), "{word} is not there as text");
        }
        assert!(html.contains("<a href=\"https://example.org/?a&amp;b\">web</a>"));
    }

    #[test]
    fn a_picture_that_is_not_there_leaves_its_description() {
        let html = page("name", "# name\n\n![curves of *all*](plots/curves.png) and ![more](b.png)", |_| None);
        well_formed(&html);
        assert!(!html.contains("<img") && html.contains("made here:</strong> curves of <em>all</em> and "), "{html}");
    }
}
