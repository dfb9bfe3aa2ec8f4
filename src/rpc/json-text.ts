/** Owns answers that are JSON already: they travel as they are, without becoming objects on the serving thread. */

export class JsonText {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}
