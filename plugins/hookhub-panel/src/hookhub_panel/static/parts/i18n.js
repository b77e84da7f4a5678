// The language of the page: the browser's, or what was chosen. The texts are in ../texts/.

import en from "../texts/en.js";
import ru from "../texts/ru.js";

const TEXTS = { en, ru };
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

/** Whether there is such a text: for words that the hub may have more of than the panel. */
export const has = (key) => key in TEXTS[language];

const formats = new Map();

function format(kind, options) {
  const key = JSON.stringify([language, options]);
  if (!formats.has(key)) formats.set(key, new kind(language, options));
  return formats.get(key);
}

export const number = (value, digits = 2) =>
  format(Intl.NumberFormat, { maximumFractionDigits: digits }).format(value);

export const percent = (value, digits = 2) =>
  format(Intl.NumberFormat, { style: "percent", maximumFractionDigits: digits }).format(value);

/** A time that something took; null is a dash. */
export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 1) return t("unit.ms", { n: number(value * 1000, value < 0.01 ? 1 : 0) });
  if (value < 120) return t("unit.s", { n: number(value, value < 10 ? 2 : 0) });
  if (value < 7200) return t("unit.min", { n: number(value / 60, 0) });
  return t("unit.h", { n: number(value / 3600, 1) });
}

/** Times of day, with the date if it is another day. */
export function moment(iso, precise = false) {
  if (!iso) return t("never");
  const date = new Date(iso);
  const today = date.toDateString() === new Date().toDateString();
  const options = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  if (precise) options.fractionalSecondDigits = 3;
  if (precise || !today) Object.assign(options, { day: "2-digit", month: "short" });
  if (precise) options.year = "numeric";
  return format(Intl.DateTimeFormat, options).format(date);
}

/** As the axis of a chart has it; `range`: "hour", "day" or "week". */
export function tick(at, range) {
  const options = range === "week" ? { weekday: "short", day: "numeric" } : { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  return format(Intl.DateTimeFormat, options).format(new Date(at * 1000));
}
