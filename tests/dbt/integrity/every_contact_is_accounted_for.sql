-- Per namespace and channel: addresses and numbers as given = shipped + spare + rejected; and each customer is shipped,
-- or listed as one who cannot be reached.
{%- set namespace = "coalesce(namespace, '')" %}

with customers as (

    select * from {{ ref('stg_platform__customers') }}

),

namespaces as (

    select * from {{ ref('stg_platform__namespaces') }}

),

listed_phones as (

    {{ json_list_rows('customers', ['namespace'], 'phones') | indent(4) }}

),

judged as (

    select * from {{ ref('int_contacts_judged') }}

),

shipped as (

    select * from {{ ref('audience_attributes') }}

),

rejected as (

    select * from {{ ref('rejected_contacts') }}

),

given as (

    select
        {{ namespace }} as namespace,
        'email' as channel,
        1 as given,
        0 as found
    from customers
    where email is not null

    union all

    select
        {{ namespace }} as namespace,
        'phone' as channel,
        1 as given,
        0 as found
    from customers
    where {{ trimmed('phone') }} <> ''

    union all

    select
        {{ namespace }} as namespace,
        'phone' as channel,
        1 as given,
        0 as found
    from listed_phones
    where {{ trimmed('element') }} <> ''

    union all

    select
        customers.namespace,
        'any' as channel,
        1 as given,
        0 as found
    from customers
    inner join namespaces on customers.namespace = namespaces.namespace
    where customers.customer_id is not null

),

found as (

    select
        namespace,
        'email' as channel,
        0 as given,
        1 as found
    from shipped
    where email is not null

    union all

    select
        namespace,
        'phone' as channel,
        0 as given,
        1 as found
    from shipped
    where phone is not null

    union all

    select
        namespace,
        'any' as channel,
        0 as given,
        1 as found
    from shipped

    union all

    select
        namespace,
        channel,
        0 as given,
        1 as found
    from judged
    where disposition = 'spare'

    union all

    select
        {{ namespace }} as namespace,
        channel,
        0 as given,
        1 as found
    from rejected

),

both_sides as (

    select * from given
    union all
    select * from found

)

select
    namespace,
    channel,
    sum(given) as given,
    sum(found) as found
from both_sides
group by namespace, channel
having sum(given) <> sum(found)
