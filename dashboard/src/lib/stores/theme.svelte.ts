import { load, save } from './storage';

type Theme = 'light' | 'dark';

const key = 'hearth.theme';
const prefersDark = matchMedia('(prefers-color-scheme: dark)');

/** The system's theme, until a person asks for the other one. */
class ThemeChoice {
  #system = $state<Theme>(prefersDark.matches ? 'dark' : 'light');
  #chosen = $state<Theme | null>(null);
  current = $derived(this.#chosen ?? this.#system);

  constructor() {
    const stored = load(key);
    this.#choose(stored === 'light' || stored === 'dark' ? stored : null);
    prefersDark.addEventListener('change', ({ matches }) => (this.#system = matches ? 'dark' : 'light'));
  }

  toggle(): void {
    const next: Theme = this.current === 'dark' ? 'light' : 'dark';
    this.#choose(next === this.#system ? null : next);
    save(key, this.#chosen);
  }

  #choose(theme: Theme | null): void {
    this.#chosen = theme;
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  }
}

export const theme = new ThemeChoice();
