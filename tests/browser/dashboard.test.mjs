// Drives the dashboard of a running cluster as a person would.
//   HEARTH_URL      any device's address, e.g. http://localhost:52415
//   HEARTH_URL_2    another device's address: the same cluster must be seen and usable there (optional)
//   HEARTH_DEVICES  how many devices the cluster has and the model is placed on (default 1)
//   HEARTH_MODEL    the model that is placed (default ember)

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { openPage, screens, startBrowser } from './browser.mjs';

const url = process.env.HEARTH_URL;
const secondUrl = process.env.HEARTH_URL_2;
const devices = Number(process.env.HEARTH_DEVICES ?? 1);
const model = process.env.HEARTH_MODEL ?? 'ember';
const output = new URL('../output/', import.meta.url).pathname;

const joinMs = 60_000;
const readyMs = 120_000;
const answerMs = 60_000;

const faults = [];
let browser;
let page;
let instanceId;

before(async () => {
  assert.ok(url, 'HEARTH_URL must name a running hearth, e.g. http://localhost:52415');
  await mkdir(output, { recursive: true });
  browser = await startBrowser();
  page = await openPage(browser, url, faults);
});

after(async () => {
  await browser?.close();
  // What these tests placed must not stay when they fail half way.
  if (instanceId) await fetch(new URL(`/instance/${instanceId}`, url), { method: 'DELETE' }).catch(() => {});
});

async function stateOf(base) {
  return (await fetch(new URL('/state', base))).json();
}

async function seesDevices(where) {
  const online = where.locator('[data-testid=device][data-status=online]');
  await online.nth(devices - 1).waitFor({ timeout: joinMs });
  assert.equal(await online.count(), devices);
  return online;
}

async function ask(where, question) {
  const answered = where.waitForResponse((response) => response.url().endsWith('/v1/chat/completions'));
  await where.getByRole('textbox', { name: 'Message' }).fill(question);
  await where.keyboard.press('Enter');
  const response = await answered;
  assert.match(response.headers()['content-type'], /^text\/event-stream/);
  assert.equal(response.request().postDataJSON().stream, true);
  return lastAnswer(where);
}

async function lastAnswer(where) {
  const answer = where.getByTestId('answer').last();
  await answer.and(where.locator('[data-writing=false]')).waitFor({ timeout: answerMs });
  assert.equal(await answer.getByRole('alert').count(), 0, 'the answer ended with an error');
  return answer;
}

async function scrollsSideways(where) {
  return where.evaluate(() =>
    [...document.querySelectorAll('html, .pane, .scroll, .log')].some(
      ({ clientWidth, scrollWidth }) => clientWidth > 0 && scrollWidth > clientWidth,
    ),
  );
}

async function assertNoFaults() {
  assert.deepEqual(faults, []);
}

test('the devices of the cluster are shown', async () => {
  const cards = await seesDevices(page);
  const { nodeIdentities, self } = await stateOf(url);
  const text = (await cards.allInnerTexts()).join('\n');
  for (const { friendlyName } of Object.values(nodeIdentities)) assert.ok(text.includes(friendlyName), friendlyName);
  const own = page.locator(`[data-device="${self}"]`);
  await own.getByText('You are talking to this device').waitFor({ state: 'attached' });
  await assertNoFaults();
});

test('a device tells how fast it reaches the others', { skip: devices < 2 }, async () => {
  const card = page.getByTestId('device').first();
  await card.click();
  const measured = page.getByTestId('neighbour').filter({ hasText: /[0-9] [µm]s, [0-9.]+ [MG]bit\/s/ });
  await measured.nth(devices - 2).waitFor();
  if (devices === 2) assert.match(await page.getByTestId('link-label').innerText(), /bit\/s/);
  await card.click();
  await assertNoFaults();
});

test('a plan is drawn before it is placed, cut as asked for', async () => {
  await page.locator(`[data-model="${model}"]`).getByRole('button', { name: /^Place/ }).click();
  const sheet = page.getByTestId('place');
  await sheet.getByRole('radio', { name: String(devices), exact: true }).check({ force: true });
  const shards = sheet.getByTestId('stage').getByTestId('slice');
  if (devices > 1) {
    const lastStage = sheet.getByTestId('stage').nth(devices - 1);
    await sheet.getByRole('radio', { name: 'Pipeline' }).check({ force: true });
    await lastStage.waitFor();
    await sheet.getByRole('radio', { name: 'Tensor' }).check({ force: true });
    await lastStage.waitFor({ state: 'detached' });
    await sheet.getByRole('radio', { name: 'Auto' }).check({ force: true });
  }
  await shards.nth(devices - 1).waitFor();
  assert.equal(await shards.count(), devices);
  const drawn = page.locator('[data-testid=device] .planned[data-testid=shard]');
  await drawn.nth(devices - 1).waitFor();
  await page.screenshot({ path: `${output}desktop-dark-plan.png`, animations: 'disabled' });
  await assertNoFaults();
});

test('placing it leads to a ready instance', async () => {
  const placed = page.waitForResponse((response) => response.url().endsWith('/place_instance'));
  await page.getByTestId('place').getByRole('button', { name: /^Place on/ }).click();
  const response = await placed;
  assert.equal(response.status(), 200);
  assert.equal(response.request().postDataJSON().sharding, 'Auto');
  instanceId = (await response.json()).instance_id;
  await page.locator(`[data-instance="${instanceId}"][data-status=ready]`).waitFor({ timeout: readyMs });
  const { shardAssignments } = (await stateOf(url)).instances[instanceId];
  assert.equal(Object.keys(shardAssignments.nodeToRunner).length, devices);
  await page.locator('[data-testid=device] [data-testid=shard]').nth(devices - 1).waitFor();
  await assertNoFaults();
});

test('a question is answered', async () => {
  await page.locator(`[data-instance="${instanceId}"]`).getByRole('button', { name: 'Chat' }).click();
  await page.getByTestId('chat-model').and(page.locator(':enabled')).waitFor();
  const answer = await ask(page, 'What is the capital of France?');
  assert.notEqual((await answer.locator('.markdown').innerText()).trim(), '');
  assert.match(await answer.getByTestId('stats').innerText(), /first token .+ · \d+ tokens?/);
  await assertNoFaults();
});

test('retry asks again instead of adding a question', async () => {
  const again = page.waitForResponse((response) => response.url().endsWith('/v1/chat/completions'));
  await page.getByRole('button', { name: 'Retry' }).click();
  const sent = (await again).request().postDataJSON();
  assert.deepEqual(sent.messages, [{ role: 'user', content: 'What is the capital of France?' }]);
  await lastAnswer(page);
  assert.equal(await page.getByTestId('question').count(), 1);
  assert.equal(await page.getByTestId('answer').count(), 1);
  await assertNoFaults();
});

test('conversations and the theme are remembered', async () => {
  await page.getByRole('button', { name: 'Use the light theme' }).click();
  await page.reload();
  await seesDevices(page);
  assert.equal(await page.locator('html').getAttribute('data-theme'), 'light');
  await page.getByRole('button', { name: 'Conversations' }).click();
  const conversations = page.getByRole('navigation', { name: 'Conversations' });
  await conversations.getByRole('button', { name: 'What is the capital of France?', exact: true }).click();
  await page.getByTestId('answer').waitFor();
  await page.getByRole('button', { name: 'Use the dark theme' }).click();
  assert.equal(await page.locator('html').getAttribute('data-theme'), null);
  await assertNoFaults();
});

test('an answer cannot reach other hosts or run anything', async () => {
  const hostile = [
    '![a picture](https://hearth.invalid/leak.png)',
    '<img src="https://hearth.invalid/leak.png" onerror="document.title=1"><script>document.title = "2"</script>',
    '<style>@import "https://hearth.invalid/leak.css";</style>',
    '[a link](javascript:document.title=3) and **bold**',
  ].join('\n\n');
  const turns = [
    { id: 'q', role: 'user', content: 'Hi' },
    { id: 'a', role: 'assistant', content: hostile },
  ];
  const conversation = { id: 'hostile', title: 'Hostile', updatedAt: Date.now() + 1000, turns };
  const other = await openPage(browser, url, faults);
  // At the start of the next load, because the page stores its own conversations when it is left.
  const stored = JSON.stringify([conversation]);
  await other.addInitScript((value) => localStorage.setItem('hearth.conversations', value), stored);
  await other.reload();
  await other.getByRole('button', { name: 'Conversations' }).click();
  await other.getByRole('button', { name: 'Hostile', exact: true }).click();
  const answer = other.getByTestId('answer');
  await answer.locator('strong').waitFor();
  assert.equal(await answer.locator('img, script, style, [onerror], a[href^=javascript]').count(), 0);
  assert.equal(await other.title(), 'Hearth');
  await other.context().close();
  await assertNoFaults();
});

test('without live events the page polls, and it says when nothing answers', async () => {
  // Its requests are made to fail, and browsers report that on the console.
  const expected = [];
  const other = await openPage(browser, url, expected);
  await seesDevices(other);
  const banner = other.getByText('Connection lost, retrying.');
  await other.route('**/events', (route) => route.abort());
  await other.reload();
  await seesDevices(other);
  await other.waitForResponse((response) => response.url().endsWith('/state'));
  assert.equal(await banner.isVisible(), false);
  await other.route('**/state', (route) => route.abort());
  await banner.waitFor();
  assert.equal(await other.getByTestId('device').count(), devices, 'the last known devices went away');
  await other.unroute('**/state');
  await banner.waitFor({ state: 'detached' });
  await other.context().close();
});

test('another device shows the same cluster and answers too', { skip: !secondUrl }, async () => {
  const other = await openPage(browser, secondUrl, faults);
  await seesDevices(other);
  await other.locator(`[data-instance="${instanceId}"][data-status=ready]`).waitFor({ timeout: readyMs });
  const { self } = await stateOf(secondUrl);
  assert.notEqual(self, (await stateOf(url)).self);
  await other.locator(`[data-device="${self}"]`).getByText('You are talking to this device').waitFor({ state: 'attached' });
  const answer = await ask(other, 'What is the capital of France?');
  assert.notEqual((await answer.locator('.markdown').innerText()).trim(), '');
  await other.context().close();
  await assertNoFaults();
});

test('it fits a desktop and a phone, dark and light', async () => {
  for (const colorScheme of ['dark', 'light']) {
    await page.emulateMedia({ colorScheme });
    await page.screenshot({ path: `${output}desktop-${colorScheme}.png`, animations: 'disabled' });
  }
  assert.equal(await scrollsSideways(page), false, 'the desktop scrolls sideways');
  const phone = await openPage(browser, url, faults, screens.phone);
  await seesDevices(phone);
  await phone.screenshot({ path: `${output}phone-cluster.png`, animations: 'disabled' });
  assert.equal(await scrollsSideways(phone), false, 'the phone’s cluster view scrolls sideways');
  await phone.getByRole('link', { name: 'Chat' }).click();
  await ask(phone, 'What is the capital of France?');
  await phone.screenshot({ path: `${output}phone-chat.png`, animations: 'disabled' });
  assert.equal(await scrollsSideways(phone), false, 'the phone’s chat view scrolls sideways');
  await phone.context().close();
  await assertNoFaults();
});

test('deleting asks first and then frees the instance', async () => {
  const card = page.locator(`[data-instance="${instanceId}"]`);
  await card.getByRole('button', { name: /^Delete/ }).click();
  await card.getByRole('button', { name: 'Keep' }).click();
  assert.ok((await stateOf(url)).instances[instanceId], 'an instance went away without confirmation');
  await card.getByRole('button', { name: /^Delete/ }).click();
  await card.getByRole('group', { name: 'Confirm deletion' }).getByRole('button', { name: 'Delete' }).click();
  await card.waitFor({ state: 'detached' });
  assert.equal((await stateOf(url)).instances[instanceId], undefined);
  instanceId = undefined;
  await assertNoFaults();
});
