"""Run what shows that Barostat can be trusted, and write docs/explanation/trust.md of it.

`make trust` does. A test says what it shows by its marks, `@pytest.mark.trust(PROMISE, FAULT)`;
`promises` knows the promises, `recorder` is the plugin of pytest that notes what came of each test,
`page` makes the page of that. One run makes one page: nothing is kept from earlier runs.
"""
