import DOMPurify from 'dompurify';
import { Marked } from 'marked';
import { highlight } from './highlight';

const escapes: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => escapes[character]!);
}

const marked = new Marked({
  gfm: true,
  breaks: true,
  renderer: {
    code({ text, lang }) {
      const language = (lang ?? '').split(/\s/)[0]!.toLowerCase();
      const body = highlight(text, language) ?? escapeHtml(text);
      const label = `<span>${escapeHtml(language || 'text')}</span>`;
      const copy = '<button type="button" class="copy-code">Copy</button>';
      return `<figure class="code"><figcaption>${label}${copy}</figcaption><pre tabindex="0"><code>${body}</code></pre></figure>`;
    },
    // Raw HTML in an answer is text that the model wrote, not markup for this page.
    html({ text }) {
      return escapeHtml(text);
    },
  },
});

// A model's words must not make the browser ask other hosts for anything: a picture's address can carry
// what was said in the conversation.
const purifyOptions = {
  ALLOWED_TAGS: [
    'a', 'blockquote', 'br', 'button', 'code', 'del', 'em', 'figcaption', 'figure', 'h1', 'h2', 'h3', 'h4', 'h5',
    'h6', 'hr', 'li', 'ol', 'p', 'pre', 'span', 'strong', 'table', 'tbody', 'td', 'th', 'thead', 'tr', 'ul',
  ],
  ALLOWED_ATTR: ['align', 'class', 'href', 'rel', 'start', 'tabindex', 'target', 'type'],
};

DOMPurify.addHook('afterSanitizeAttributes', (node) => {
  if (node.tagName !== 'A') return;
  node.setAttribute('target', '_blank');
  node.setAttribute('rel', 'noopener noreferrer');
});

export function renderMarkdown(text: string): string {
  return DOMPurify.sanitize(marked.parse(text, { async: false }), purifyOptions);
}
