export type View = 'cluster' | 'chat';

/** Which view a narrow screen shows. It lives in the address, so that back and reload work. */
class CurrentView {
  current = $state<View>(viewFromHash());

  constructor() {
    addEventListener('hashchange', () => (this.current = viewFromHash()));
  }

  show(view: View): void {
    location.hash = view;
  }
}

function viewFromHash(): View {
  return location.hash === '#chat' ? 'chat' : 'cluster';
}

export const view = new CurrentView();
