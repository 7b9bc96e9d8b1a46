-- The generator's rows, as DuckDB macros. `generate.py` fills the table `deck`, writes the files and sets the rest,
-- as macros too: seed(), first_day() (date), days(), clients(), largest() (the first one's share of the emails, or
-- null), people() (customers of one client), emails() (of one deck), agents(), sources() and models() (lists of text).
-- Days count from 0 (the start). A second counts from the midnight (UTC) of the day that the email was sent on.
-- Randomness is md5 of names, so the same seed gives the same bytes on every machine and version.

-- Draws: 63 bits of one name; every fact of an email is cut from the bits of its key.
create macro bits_of(name) as (md5_number_lower(name) >> 1)::bigint;
create macro email_key(day, number) as concat('email/', seed(), '/', day, '/', number);
-- Clients differ in size: the square of an even draw gives the first ones most of the emails. Where the largest one's
-- share is said, the square is drawn among the others.
create macro even_draw(bits) as (bits & 16777215) / 16777216;
create macro client_of(bits) as case
    when largest() is null then floor(even_draw(bits) * even_draw(bits) * clients())::integer
    when even_draw(bits) < largest() then 0
    else 1 + floor(
        (even_draw(bits) - largest()) / (1 - largest()) * (even_draw(bits) - largest()) / (1 - largest())
        * (clients() - 1)
    )::integer
end;
create macro run_of(bits) as ((bits >> 24) & 3)::integer;
create macro person_of(bits) as ((bits >> 30) % people())::bigint;

-- Names and ids, from the number of a client (0-) and of one of its five campaigns (1-5).
create macro namespace_name(client) as 'client_' || lpad(client::varchar, 4, '0');
create macro campaign_of(run, day) as case run when 0 then 1 when 1 then 2 + day % 2 when 2 then 4 else 5 end;
create macro campaign_key(client, campaign) as (client + 1) * 100 + campaign;
create macro day_of(day) as first_day() + day::integer;
create macro run_key(client, run, day) as
    concat('run-', campaign_key(client, campaign_of(run, day)), '-', strftime(day_of(day), '%Y%m%d'));
create macro run_second(client, run) as 21600 + run * 14400 + (client % 60) * 60;
create macro moment(day, second) as strftime(day_of(day)::timestamp + to_seconds(second), '%Y-%m-%dT%H:%M:%SZ');
create macro audience_key(client, campaign, number) as concat(campaign_key(client, campaign), '0', number);
create macro email_address(client, person) as concat(
    ['ada', 'ben', 'carla', 'dev', 'elin', 'finn', 'gia', 'hugo', 'ivy', 'jon', 'lena', 'mia'][person % 12 + 1], '.',
    ['north', 'ridge', 'marsh', 'patel', 'storm', 'weiss', 'romano', 'stone', 'brook', 'vogel'][person // 12 % 10 + 1],
    person, '@example.', ['com', 'org', 'net'][client % 3 + 1]
);
create macro campaign_name(campaign, day) as case campaign
    when 1 then case when day < days() // 2 then 'Weekly news ✨' else 'The Weekly, "renamed" ✨' end
    when 2 then 'Sale | up to 20 %, "members" only'
    when 3 then e'Back in stock\nand waiting'
    when 4 then 'Cart rescue 🎒'
    else 'Order confirmation'
end;
create macro classification(client, campaign) as
    case when client = 0 and campaign = 3 then 'Lifecycle'
    else ['Batch', 'Promotional', 'Promotional', 'Triggered', 'Transactional'][campaign] end;

-- One SendGrid event a row, in the order received: `received` (text), `payload` (text, JSON).
-- Event k of a day stands on card k % size of the deck; the first day's deck leaves out what came from the day before.
create macro events(day, first, last) as table
with cards as (select * from deck where opening = (day = 0)),

numbered as (
    select
        k,
        k % size as card,
        k // size as deal
    from range(first, last) as numbers (k), (select count(*) as size from cards) as whole
),

dealt as (
    select
        cards.*,
        k,
        email_key(day - carried::integer, deal * emails() + email) as email_name,
        bits_of(email_name) as bits,
        day - carried::integer as sent_on
    from numbered
    inner join cards using (card)
),

addressed as (
    select
        *,
        client_of(bits) as client,
        run_of(bits) as run,
        case when twist = 'full' then person_of(bits) // 200 * 200 else person_of(bits) end as person
    from dealt
),

timed as (
    select
        *,
        since + ((bits >> step) % within)
        + case when by_clock then 0 else run_second(client, run) + 20 + (bits >> 26) % 600 end as occurred
    from addressed
),

in_order as (
    select
        * exclude (card, email),
        occurred + 1 + (bits >> 13) % 30 + again as received
    from timed
    order by received - 86400 * (day - sent_on), k
),

named as (
    select
        *,
        campaign_of(run, sent_on) as campaign,
        md5(email_name) as nqe,
        email_address(client, person) as email,
        (epoch(day_of(sent_on)) + occurred)::bigint::varchar as epoch_text
    from in_order
),

written as (
    select
        *,
        campaign_key(client, campaign)::varchar as campaign_id
    from named
)

select
    moment(sent_on, received) as received,
    case twist
        when 'account' then concat(
            '{"event":"account_status_change","type":"compliance_suspend","timestamp":', epoch_text,
            ',"sg_event_id":"', nqe, '"}'
        )
        else concat(
            '{"email":"',
            case twist
                when 'upper' then upper(email)
                when 'spaces' then '  ' || email || ' '
                when 'nobody' then ''
                else email
            end,
            '","timestamp":', case when twist = 'text' then '"' || epoch_text || '"' else epoch_text end,
            ',"event":"', event,
            '","category":', case when twist = 'string' then '"email"' else concat('["email","', campaign_id, '"]') end,
            case
                when twist = 'old' then ''
                else concat(
                    ',"sg_event_id":"', left(md5(concat(nqe, step)), 22),
                    '","sg_message_id":"', left(nqe, 22), '.recvd-7d4b9c-1-0"'
                )
            end,
            detail,
            case
                when by_hand
                    then concat(
                        ',"ip":"203.0.113.', bits % 250, '","useragent":"', agents()[(bits >> 40) % 8 + 1], '"'
                    )
                else ''
            end,
            case
                when event = 'click'
                    then concat(
                        ',"url":"https://shop.example.com/p/', (bits >> 44) % 1000,
                        '?utm_source=email&utm_campaign=', campaign_id, '&q=a,b"'
                    )
                else ''
            end,
            case twist
                when 'homeless' then ''
                when 'ghost' then ',"namespace":"ghost_store"'
                else concat(',"namespace":"', namespace_name(client), '"')
            end,
            ',"campaign_id":', case when twist = 'number' then campaign_id else '"' || campaign_id || '"' end,
            case twist
                when 'runless' then ''
                when 'lost' then ',"campaign_run_id":"run-0"'
                else concat(',"campaign_run_id":"', run_key(client, run, sent_on), '"')
            end,
            ',"audience_id":"', audience_key(client, campaign, 1),
            case when campaign = 2 then '|' || audience_key(client, campaign, 2) else '' end, '"',
            case when campaign < 5 then concat(',"variant_id":"', chr(65 + (bits >> 50 & 1)::integer), '"') else '' end,
            case when campaign = 4 then concat(',"journey_id":"jny-', campaign_id, '"') else '' end,
            ',"nqe":"', nqe, '"}'
        )
    end as payload
from written;

-- How events are written: one a line, or as the body of one POST.
create macro line(received, payload) as concat('{"received_at":"', received, '","payload":', payload, '}');
create macro body(received, payload) as concat('[', string_agg(payload, ',' order by received, payload), ']');

-- Sends that the platform prevented: `count` of them a day, some of them told twice, also after midnight.
create macro halts(day, count) as table
select
    namespace_name(client) as namespace,
    concat('halt-', sent_on, '-', number) as halt_id,
    moment(
        sent_on, case when number % 50 = 3 then 86340 else run_second(client, run) + 60 end + 300 * again
    ) as received_at,
    case when number % 50 != 0 then email_address(client, person_of(bits)) end as email,
    campaign_key(client, campaign) as campaign_id,
    case when number % 50 = 1 then 'run-0' else run_key(client, run, sent_on) end as campaign_run_id,
    audience_key(client, campaign, 1) as audience_id,
    case when campaign < 5 then 'A' end as variant_id,
    case when campaign = 4 then concat('jny-', campaign_key(client, campaign)) end as journey_id,
    md5(concat('halt/', seed(), '/', sent_on, '/', number)) as nqe,
    ['audience_filter', 'catalogue_problem', 'frequency_cap', 'too_few_recommendations'][number % 4 + 1] as reason
from (
    select
        numbers.number,
        copies.again,
        day - (number % 50 = 3 and again = 1)::integer as sent_on,
        bits_of(concat('halt/', seed(), '/', sent_on, '/', number)) as bits,
        client_of(bits) as client,
        run_of(bits) as run,
        campaign_of(run, sent_on) as campaign
    from range(count) as numbers (number), (values (0), (1)) as copies (again)
    where again = 0 or number % 50 in (2, 3)
) as prevented
where sent_on >= 0
order by received_at, halt_id;

-- Unsubscribes that the platform took itself: `count` a day, from the day's `emails`, or without one (screens, files).
create macro unsubscribes(day, count, emails) as table
select
    namespace_name(client) as namespace,
    concat('unsub-', sent_on, '-', number) as unsubscribe_id,
    moment(
        sent_on,
        case when number % 50 = 3 then 86340 else run_second(client, run) + 4000 + bits % 13000 end + 300 * again
    ) as received_at,
    case when number % 50 != 0 then email_address(client, person_of(bits)) end as email,
    source,
    case when by_email then run_key(client, run, sent_on) end as campaign_run_id,
    case when by_email then md5(key) end as nqe
from (
    select
        numbers.number,
        copies.again,
        day - (number % 50 = 3 and again = 1)::integer as sent_on,
        email_key(sent_on, bits_of(concat('unsub/', seed(), '/', sent_on, '/', number)) % emails) as key,
        bits_of(key) as bits,
        client_of(bits) as client,
        run_of(bits) as run,
        case when number % 50 = 1 then 'Preference Centre' else sources()[number % 8 + 1] end as source,
        source not in ('Manual', 'Email File', 'Preference Centre') as by_email
    from range(count) as numbers (number), (values (0), (1)) as copies (again)
    where again = 0 or number % 50 in (2, 3)
) as taken
where sent_on >= 0
order by received_at, unsubscribe_id;

-- The runs of one day: four of each client.
create macro campaign_runs(day) as table
select
    namespace_name(client) as namespace,
    run_key(client, run, day) as campaign_run_id,
    campaign_key(client, campaign) as campaign_id,
    moment(day, run_second(client, run)) as campaign_run_time,
    campaign_name(campaign, day) as campaign_name,
    classification(client, campaign) as campaign_classification,
    concat(
        [
            'News', 'Last call: "boots", 20 % off |', e'It''s back,\nand it won''t last 👩🏽‍🔬',
            'You left', 'Thank you for'
        ][campaign],
        ' no. ', day
    ) as subject_line,
    case
        when campaign = 2 then to_json([audience_key(client, campaign, 1), audience_key(client, campaign, 2)])
        else to_json(audience_key(client, campaign, 1))
    end as audience_id,
    case when campaign < 5 then {'utm_source': 'email', 'utm_campaign': campaign_name(campaign, day)} end
        as tracking_parameters,
    case when campaign = 4 then concat('jny-', campaign_key(client, campaign)) end as journey_id,
    moment(day, run_second(client, run) + 30) as updated_at
from (
    select
        clients.client,
        runs.run,
        campaign_of(run, day) as campaign
    from range(clients()) as clients (client), range(4) as runs (run)
) as due
order by client, run;

-- What has no day: one macro an entity, each row of every client.
create macro namespaces() as table
select
    namespace_name(client) as namespace,
    concat('Client ', client, ', "Ltd." ✨') as name,
    [null, 50, 3][client % 3 + 1] as soft_bounce_limit,
    [null, 48, 120][client % 3 + 1] as attribution_hours,
    'US' as default_country,
    moment(-60, 0) as updated_at
from range(clients()) as clients (client)
order by client;

create macro campaigns() as table
select
    namespace_name(client) as namespace,
    campaign_key(client, campaign) as campaign_id,
    campaign_name(campaign, days()) as campaign_name,
    classification(client, campaign) as campaign_classification,
    moment(case when campaign = 1 then days() // 2 else -30 end, 0) as updated_at
from range(clients()) as clients (client), range(1, 6) as campaigns (campaign)
order by client, campaign;

create macro audiences() as table
select
    namespace_name(client) as namespace,
    audience_key(client, campaign, number) as audience_id,
    concat('Audience | ', campaign, ', part ', number) as audience_name,
    moment(-30, 0) as updated_at
from range(clients()) as clients (client), range(1, 6) as campaigns (campaign), range(1, 3) as parts (number)
where number = 1 or campaign = 2
order by client, campaign, number;

create macro journeys() as table
select
    namespace_name(client) as namespace,
    concat('jny-', campaign_key(client, 4)) as journey_id,
    'Cart, then "reminder"' as journey_name,
    moment(-30, 0) as updated_at
from range(clients()) as clients (client)
order by client;

create macro entitlements() as table
select
    namespace_name(client) as namespace,
    entitlement
from
    range(clients()) as clients (client),
    unnest(
        ['esp_events', 'email_unsubscribes', 'audiences', 'analytics', 'email_campaigns', 'sms_campaigns', 'pclv']
    ) as rights (entitlement)
order by client, entitlement;

-- Customers, and what they bought, looked at and were scored: macros of a range of people, counted over all clients.
create macro customer_key(client, person) as concat('cus-', client, '-', person);
create macro person_bits(client, person, what) as bits_of(concat(what, '/', seed(), '/', client, '/', person));
create macro product_key(number) as concat('prd-', number);

create macro customers(first, last) as table
select
    namespace_name(client) as namespace,
    customer_key(client, person) as customer_id,
    case when person % 40 = 39 then upper(address) else address end as email,
    case person % 12
        when 0 then concat('+1202555', lpad((person % 10000)::varchar, 4, '0'))
        when 3 then concat('(202) 555-', lpad((person % 10000)::varchar, 4, '0'))
        when 6 then concat('011 44 7700 ', lpad((900000 + person % 1000)::varchar, 6, '0'))
        when 9 then case when person % 96 = 9 then 'ask' else concat('1-202-555-', lpad((person % 10000)::varchar, 4, '0')) end
    end as phone,
    case when person % 50 = 7 then [concat('0', person), '+493023125001'] else [] end as phones,
    person % 4 != 1 as email_consent,
    moment(-1 - person % 300, person % 86400) as email_consent_at,
    person % 6 = 0 as sms_consent,
    moment(-1 - person % 200, person % 86400) as sms_consent_at,
    {
        'first_name': upper(address[1]) || split_part(address, '.', 1)[2:],
        'last_name': upper(split_part(split_part(address, '@', 1), '.', 2)),
        'birthday_day': case when person % 1000 = 500 then to_json('first') else to_json(1 + person % 28) end,
        'birthday_month': 1 + person % 12,
        'favourite': ['boots', 'soap, "hand made"', null, 'crime | fiction'][person % 4 + 1]
    } as attributes,
    moment(-1 - person % 300, person % 86400) as updated_at
from (
    select
        number // people() as client,
        number % people() as person,
        email_address(client, person) as address
    from range(first, last) as numbers (number)
) as everyone;

-- Of each client: products.
create macro products() as table
select
    namespace_name(client) as namespace,
    product_key(number) as product_id,
    {
        'name': concat(['Boot "North"', 'Tent, two persons', 'Soap | mint', 'Lamp 💡'][number % 4 + 1], ' ', number),
        'category': ['boots', 'tents', 'soap', 'lamps'][number % 4 + 1],
        'price': 5 + number % 200 + 0.5
    } as attributes,
    moment(-30, number) as updated_at
from range(clients()) as clients (client), range(200) as products (number)
order by client, number;

-- Nobody bought half of the time; the others once, or every 20 to 100 days until now or until some time ago.
create macro orders(first, last) as table
select
    namespace_name(client) as namespace,
    concat('ord-', client, '-', person, '-', nth) as order_id,
    case when person % 100 != 33 then customer_key(client, person) end as customer_id,
    case when person % 100 = 33 then email_address(client, person) end as email,
    case when (person + nth) % 50 = 0 then 'cancelled' else 'placed' end as status,
    moment(-since - cycle * nth, bits % 86400) as ordered_at,
    'EUR' as currency,
    round(lines[1].unit_price * lines[1].quantity, 2) as total,
    lines,
    moment(-since - cycle * nth, bits % 86400 + 60) as updated_at
from (
    select
        *,
        [{
            'product_id': product_key((bits >> nth) % 203),  -- three of them not in the catalogue
            'quantity': 1 + bits % 3,
            'unit_price': 5 + (bits >> nth) % 203 % 200 + 0.5
        }] as lines
    from (
        select
            number // people() as client,
            number % people() as person,
            person_bits(client, person, 'orders') as bits,
            20 + (bits >> 20) % 80 as cycle,
            case when bits % 4 = 0 then (bits >> 8) % 700 else (bits >> 8) % 40 end as since,
            unnest(range([0, 0, 0, 0, 1, 1, 3, 6][(bits >> 40) % 8 + 1])) as nth
        from range(first, last) as numbers (number)
    ) as bought
) as filled;

-- One visit of every third customer, and one of nobody known for each ten of them.
create macro sessions(first, last) as table
select
    namespace_name(client) as namespace,
    concat('ses-', client, '-', person) as session_id,
    case when person % 30 != 9 then customer_key(client, person) end as customer_id,
    ['desktop', 'mobile', 'tablet'][bits % 3 + 1] as device_type,
    moment(-(bits >> 8) % 60, bits % 80000) as started_at,
    [
        {'product_id': product_key(bits % 203), 'viewed_at': moment(-(bits >> 8) % 60, bits % 80000 + 30)},
        {'product_id': product_key((bits >> 16) % 203), 'viewed_at': moment(-(bits >> 8) % 60, bits % 80000 + 90)}
    ] as views,
    moment(-(bits >> 8) % 60, bits % 80000 + 600) as updated_at
from (
    select
        number // people() as client,
        number % people() as person,
        person_bits(client, person, 'sessions') as bits
    from range(first, last) as numbers (number)
    where number % 3 = 0
) as visits;

-- All scores of nine customers in ten. Two in a hundred share one value, so that there are ties.
create macro scores(first, last) as table
select
    namespace_name(client) as namespace,
    customer_key(client, person) as customer_id,
    model,
    case
        when person % 50 = 11 then 0.5
        when position = 1 then (bits & 16777215) / 100
        else ((bits >> 5 * position) & 1048575) / 1048576
    end as score,
    moment(-1, 7200) as computed_at
from (
    select
        number // people() as client,
        number % people() as person,
        person_bits(client, person, 'scores') as bits
    from range(first, last) as numbers (number)
    where number % 10 != 4
) as scored, unnest(models()) with ordinality as models (model, position);
