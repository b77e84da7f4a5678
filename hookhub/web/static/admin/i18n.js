// Every word of the panel, in English and in Russian.

const TEXTS = {
  en: {
    "nav.sections": "Sections",
    "nav.live": "Live",
    "nav.webhooks": "Webhooks",
    "nav.overview": "Overview",
    "tool.language": "Language",
    "tool.theme": "Colours",
    "tool.sign_out": "Sign out",
    "theme.auto": "Auto",
    "theme.light": "Light",
    "theme.dark": "Dark",

    "signin.title": "Sign in to hookhub",
    "signin.hint": "With an API token. The first start of the hub printed one.",
    "signin.token": "Token",
    "signin.button": "Sign in",
    "signin.kept": "The token stays in this tab, and is gone when you close it.",
    "signin.wrong": "The hub does not know this token. Copy all of it, without spaces; tokens begin with hh_.",
    "signin.characters": "A token has only letters, digits and signs such as _ and -. Copy it again.",
    "signin.no_scope": "This token may not read anything: it lacks the scopes events:read and webhooks:read. Make another: hookhub token create --name panel --scope events:read --scope webhooks:read",
    "signin.unreachable": "The hub does not answer. Is it running?",
    "signin.failed": "The hub answered: {detail}",
    "signin.revoked": "You were signed out: the token was revoked.",
    "signin.expired": "You were signed out: the token has expired.",
    "signin.unauthorized": "You were signed out: the hub does not know the token any more.",

    "state.connecting": "Connecting…",
    "state.catching_up": "Catching up…",
    "state.live": "Live",
    "state.recovered": { one: "Live – {n} event caught up", other: "Live – {n} events caught up" },
    "state.polling.no_plugin": "Every 2 s – hookhub-websocket is not installed",
    "state.polling.refused": "Every 2 s – the WebSocket is refused",
    "state.reconnecting": "Reconnecting in {s} s",
    "state.reconnecting_now": "Reconnecting…",
    "state.offline": "Offline – the hub does not answer; next try in {s} s",
    "state.offline_now": "Offline – trying again…",
    "state.no_network": "Offline – no network",
    "state.no_scope": "No access to events",
    "gap.chip": { one: "Gap: {n} event missing", other: "Gap: {n} events missing" },
    "gap.unknown": "Gap: an unknown number is missing",
    "gap.row": { one: "{n} event is missing here: the history does not reach back that far.", other: "{n} events are missing here: the history does not reach back that far." },
    "gap.row_unknown": "Events may be missing here: the hub has another database than before.",
    "gap.dismiss": "Press to dismiss",

    "live.filter": "Types",
    "live.filter_example": "user.*, ticket.created",
    "live.list": "Events, newest first",
    "live.pause": "Pause",
    "live.resume": "Go on",
    "live.resume_n": "Go on ({n} new)",
    "live.count": { one: "{n} event", other: "{n} events" },
    "live.rate": "{rate}/s",
    "live.empty": "No events yet. Send the first:",
    "live.empty_filter": "No such events yet; they appear here as they happen.",
    "live.no_scope": "This token lacks the scope events:read, so it cannot see events. Sign in with one that has it.",
    "event.title": "Event",
    "event.close": "Close",
    "event.payload": "Payload",
    "event.id": "Id",
    "event.time": "Time",
    "event.sequence": "Sequence",
    "event.key": "Key",
    "event.source": "Source",

    "webhooks.title": "Webhooks",
    "webhooks.empty": "No webhooks yet. Make one with POST /webhooks, see",
    "webhooks.no_scope": "This token lacks the scope webhooks:read. Sign in with one that has it.",
    "webhooks.more": { one: "{n} more is not shown.", other: "{n} more are not shown." },
    "webhooks.back": "All webhooks",
    "webhook.name": "Webhook",
    "webhook.status": "Status",
    "webhook.types": "Events",
    "webhook.delivered": "Delivered",
    "webhook.failed": "Failed attempts",
    "webhook.last": "Last attempt",
    "webhook.last_error": "Last error",
    "webhook.last_error_note": "among the last 20 deliveries",
    "webhook.active": "active",
    "webhook.inactive": "off",
    "webhook.disabled": "disabled by the hub",
    "webhook.url": "Address",
    "webhook.created": "Made",
    "webhook.description": "Description",
    "webhook.signed": "Signed",
    "yes": "yes",
    "no": "no",
    "never": "never",
    "none": "none",

    "deliveries.title": "Deliveries",
    "deliveries.all": "all",
    "deliveries.filter": "Status",
    "deliveries.empty": "No deliveries yet.",
    "deliveries.more": "Show more",
    "deliveries.total": { one: "{n} in all", other: "{n} in all" },
    "status.pending": "pending",
    "status.success": "delivered",
    "status.failed": "failed",
    "outcome.delivered": "delivered",
    "outcome.retry": "try again",
    "outcome.give_up": "given up",
    "delivery.attempts": { one: "{n} attempt", other: "{n} attempts" },
    "delivery.next": "next {time}",
    "delivery.none_yet": "No attempt was made yet.",
    "attempt.number": "#",
    "attempt.started": "Began",
    "attempt.duration": "Took",
    "attempt.outcome": "Outcome",
    "attempt.answer": "Answer",
    "seconds": "{s} s",

    "overview.webhooks": "Active webhooks",
    "overview.of": "of {n}",
    "overview.deliveries": "Deliveries",
    "overview.delivered": "Delivered",
    "overview.pending": "Pending",
    "overview.failed": "Failed",
    "overview.rate": "Success",
    "health.title": "The hub",
    "health.ok": "ok",
    "problem.unreachable": "The hub does not answer; these are the last known numbers.",
  },
  ru: {
    "nav.sections": "Разделы",
    "nav.live": "Лента",
    "nav.webhooks": "Вебхуки",
    "nav.overview": "Обзор",
    "tool.language": "Язык",
    "tool.theme": "Цвета",
    "tool.sign_out": "Выйти",
    "theme.auto": "Авто",
    "theme.light": "Светлая",
    "theme.dark": "Тёмная",

    "signin.title": "Вход в hookhub",
    "signin.hint": "Нужен токен API. Первый запуск хаба вывел один.",
    "signin.token": "Токен",
    "signin.button": "Войти",
    "signin.kept": "Токен остаётся в этой вкладке и исчезнет, когда вы её закроете.",
    "signin.wrong": "Хаб не знает этого токена. Скопируйте его целиком, без пробелов; токены начинаются с hh_.",
    "signin.characters": "В токене только латинские буквы, цифры и знаки вроде _ и -. Скопируйте его ещё раз.",
    "signin.no_scope": "Этому токену ничего нельзя читать: у него нет прав events:read и webhooks:read. Создайте другой: hookhub token create --name panel --scope events:read --scope webhooks:read",
    "signin.unreachable": "Хаб не отвечает. Он запущен?",
    "signin.failed": "Хаб ответил: {detail}",
    "signin.revoked": "Вы вышли: токен отозван.",
    "signin.expired": "Вы вышли: срок токена истёк.",
    "signin.unauthorized": "Вы вышли: хаб больше не знает этого токена.",

    "state.connecting": "Подключение…",
    "state.catching_up": "Догоняем…",
    "state.live": "В эфире",
    "state.recovered": { one: "В эфире – догнали {n} событие", few: "В эфире – догнали {n} события", many: "В эфире – догнали {n} событий", other: "В эфире – догнали {n} события" },
    "state.polling.no_plugin": "Каждые 2 с – hookhub-websocket не установлен",
    "state.polling.refused": "Каждые 2 с – WebSocket не принимают",
    "state.reconnecting": "Переподключение через {s} с",
    "state.reconnecting_now": "Переподключение…",
    "state.offline": "Нет связи – хаб не отвечает; попытка через {s} с",
    "state.offline_now": "Нет связи – пробуем снова…",
    "state.no_network": "Нет связи – нет сети",
    "state.no_scope": "Нет доступа к событиям",
    "gap.chip": { one: "Пробел: нет {n} события", few: "Пробел: нет {n} событий", many: "Пробел: нет {n} событий", other: "Пробел: нет {n} события" },
    "gap.unknown": "Пробел: неизвестно сколько",
    "gap.row": { one: "Здесь не хватает {n} события: история не достаёт так далеко.", few: "Здесь не хватает {n} событий: история не достаёт так далеко.", many: "Здесь не хватает {n} событий: история не достаёт так далеко.", other: "Здесь не хватает {n} события: история не достаёт так далеко." },
    "gap.row_unknown": "Здесь могут быть пропуски: у хаба другая база данных, чем раньше.",
    "gap.dismiss": "Нажмите, чтобы убрать",

    "live.filter": "Типы",
    "live.filter_example": "user.*, ticket.created",
    "live.list": "События, новые сверху",
    "live.pause": "Пауза",
    "live.resume": "Дальше",
    "live.resume_n": "Дальше (новых: {n})",
    "live.count": { one: "{n} событие", few: "{n} события", many: "{n} событий", other: "{n} события" },
    "live.rate": "{rate}/с",
    "live.empty": "Событий пока нет. Отправьте первое:",
    "live.empty_filter": "Таких событий пока нет; они появятся здесь сразу.",
    "live.no_scope": "У этого токена нет права events:read, события ему не видны. Войдите с другим.",
    "event.title": "Событие",
    "event.close": "Закрыть",
    "event.payload": "Данные",
    "event.id": "Id",
    "event.time": "Время",
    "event.sequence": "Номер",
    "event.key": "Ключ",
    "event.source": "Источник",

    "webhooks.title": "Вебхуки",
    "webhooks.empty": "Вебхуков пока нет. Создайте первый: POST /webhooks, см.",
    "webhooks.no_scope": "У этого токена нет права webhooks:read. Войдите с другим.",
    "webhooks.more": { one: "Ещё {n} не показан.", few: "Ещё {n} не показаны.", many: "Ещё {n} не показаны.", other: "Ещё {n} не показаны." },
    "webhooks.back": "Все вебхуки",
    "webhook.name": "Вебхук",
    "webhook.status": "Статус",
    "webhook.types": "События",
    "webhook.delivered": "Доставлено",
    "webhook.failed": "Неудачных попыток",
    "webhook.last": "Последняя попытка",
    "webhook.last_error": "Последняя ошибка",
    "webhook.last_error_note": "среди последних 20 доставок",
    "webhook.active": "включён",
    "webhook.inactive": "выключен",
    "webhook.disabled": "отключён хабом",
    "webhook.url": "Адрес",
    "webhook.created": "Создан",
    "webhook.description": "Описание",
    "webhook.signed": "Подпись",
    "yes": "да",
    "no": "нет",
    "never": "не было",
    "none": "нет",

    "deliveries.title": "Доставки",
    "deliveries.all": "все",
    "deliveries.filter": "Статус",
    "deliveries.empty": "Доставок пока нет.",
    "deliveries.more": "Показать ещё",
    "deliveries.total": { one: "всего {n}", few: "всего {n}", many: "всего {n}", other: "всего {n}" },
    "status.pending": "ждёт",
    "status.success": "доставлено",
    "status.failed": "не доставлено",
    "outcome.delivered": "доставлено",
    "outcome.retry": "повторим",
    "outcome.give_up": "отказ",
    "delivery.attempts": { one: "{n} попытка", few: "{n} попытки", many: "{n} попыток", other: "{n} попытки" },
    "delivery.next": "следующая {time}",
    "delivery.none_yet": "Попыток ещё не было.",
    "attempt.number": "№",
    "attempt.started": "Начало",
    "attempt.duration": "Длилась",
    "attempt.outcome": "Итог",
    "attempt.answer": "Ответ",
    "seconds": "{s} с",

    "overview.webhooks": "Включено вебхуков",
    "overview.of": "из {n}",
    "overview.deliveries": "Доставок",
    "overview.delivered": "Доставлено",
    "overview.pending": "Ждут",
    "overview.failed": "Не доставлено",
    "overview.rate": "Успешно",
    "health.title": "Хаб",
    "health.ok": "в порядке",
    "problem.unreachable": "Хаб не отвечает; это последние известные числа.",
  },
};

const KEY = "hookhub.language";

const known = (tag) => Object.keys(TEXTS).find((language) => tag?.toLowerCase().startsWith(language));

let language = known(localStorage.getItem(KEY)) ?? navigator.languages.map(known).find(Boolean) ?? "en";

export const currentLanguage = () => language;

export function chooseLanguage(tag) {
  language = known(tag) ?? "en";
  localStorage.setItem(KEY, language);
}

/** The text for a key, with `{name}` filled in; `n` also chooses the plural form. */
export function t(key, values = {}) {
  let text = TEXTS[language][key] ?? key;
  if (typeof text === "object") text = text[new Intl.PluralRules(language).select(values.n)];
  return text.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name];
    return typeof value === "number" ? number(value) : String(value);
  });
}

export const number = (value, digits = 2) =>
  new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(value);

/** Times of day, with the date if it is another day. */
export function moment(iso, precise = false) {
  if (!iso) return t("never");
  const date = new Date(iso);
  const today = date.toDateString() === new Date().toDateString();
  const options = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  if (precise) options.fractionalSecondDigits = 3;
  if (precise || !today) Object.assign(options, { day: "2-digit", month: "short" });
  if (precise) options.year = "numeric";
  return new Intl.DateTimeFormat(language, options).format(date);
}

/** Fill in what the page itself says: `data-text`, and `data-label` for what only reads aloud. */
export function applyTexts(root = document) {
  document.documentElement.lang = language;
  for (const node of root.querySelectorAll("[data-text]")) node.textContent = t(node.dataset.text);
  for (const node of root.querySelectorAll("[data-label]")) {
    node.setAttribute("aria-label", t(node.dataset.label));
    if (node.matches("button, select")) node.title = t(node.dataset.label);
  }
  for (const node of root.querySelectorAll("[data-placeholder]")) {
    node.placeholder = t(node.dataset.placeholder);
  }
}
