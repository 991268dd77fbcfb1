// Conveniences: every page works without them.
'use strict';

// A button that copies what a field or a command says.
for (const button of document.querySelectorAll('button[data-copy]')) {
  const source = document.getElementById(button.dataset.copy);
  if (!source || !navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(source.value ?? source.textContent);
      say('Copied.');
      button.textContent = 'Copied';
    } catch {
      say('The browser does not let it be copied: mark it and copy it by hand.');
      (source.select ?? source.focus).call(source);
    }
  });
}

// A form that is sent once is not sent again by a second click.
for (const form of document.querySelectorAll('form[method="post"]')) {
  form.addEventListener('submit', (event) => {
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = 'yes';
    form.querySelector('button[type="submit"]')?.setAttribute('aria-disabled', 'true');
  });
}
addEventListener('pageshow', () => {
  for (const form of document.querySelectorAll('form[data-sent]')) {
    delete form.dataset.sent;
    form.querySelector('button[type="submit"]')?.removeAttribute('aria-disabled');
  }
});

// Whoever writes a number means it.
document.getElementById('limit')?.addEventListener('input', () => {
  document.getElementById('limited-yes').checked = true;
});

// The overview, brought up to date while somebody looks at it.
const live = document.querySelector('[data-live]');
if (live) {
  const pause = document.querySelector('[data-pause]');
  document.querySelector('[data-plain]').hidden = true;
  pause.hidden = false;
  pause.addEventListener('click', () => {
    const paused = pause.getAttribute('aria-pressed') !== 'true';
    pause.setAttribute('aria-pressed', String(paused));
    pause.textContent = paused ? 'Go on' : 'Pause';
  });
  const refresh = async () => {
    // Whoever is in the midst of it, or does not look, is left in peace.
    const quiet = document.hidden || pause.getAttribute('aria-pressed') === 'true' ||
      live.contains(document.activeElement) || String(getSelection());
    if (!quiet) {
      try {
        const answer = await fetch(live.dataset.live, { headers: { accept: 'text/html' } });
        if (answer.redirected) location.reload();
        else if (answer.ok) live.innerHTML = await answer.text();
      } catch {
        // The server is away for a moment: it is asked again.
      }
    }
    setTimeout(refresh, 2000);
  };
  setTimeout(refresh, 2000);
}

// Says something to those who hear the page.
function say(text) {
  let line = document.getElementById('said');
  if (!line) {
    line = document.createElement('p');
    line.id = 'said';
    line.className = 'unseen';
    line.setAttribute('role', 'status');
    document.body.append(line);
  }
  line.textContent = text;
}
