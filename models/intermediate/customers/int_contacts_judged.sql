with contacts as (

    select * from {{ ref('int_contacts_read') }}

),

namespaces as (

    select * from {{ ref('stg_platform__namespaces') }}

),

countries as (

    select * from {{ ref('calling_codes') }}

),

plans as (

    select
        calling_code,
        min(min_length) as min_length,
        max(max_length) as max_length,
        max(not_first) as not_first
    from countries
    group by calling_code

),

written as (

    select
        contacts.*,
        namespaces.namespace is not null as is_known,
        countries.calling_code,
        countries.trunk_prefix,
        coalesce(countries.international_prefix, '00') as international_prefix,
        case
            when contacts.channel = 'phone'
                then {{ without(without('contacts.contact', '[(]0[)]'), phone_marks()) }}
        end as digits
    from contacts
    left join namespaces on contacts.namespace = namespaces.namespace
    left join countries on namespaces.default_country = countries.country

),

dialled as (

    select
        *,
        case
            when {{ matches('digits', '^[+][0-9]+$') }} then substr(digits, 2)
            when not {{ matches('digits', '^[0-9]+$') }} then null
            when left(digits, length(international_prefix)) = international_prefix
                then substr(digits, length(international_prefix) + 1)
            when trunk_prefix <> '' and left(digits, length(trunk_prefix)) = trunk_prefix
                then calling_code || substr(digits, length(trunk_prefix) + 1)
            else calling_code || digits
        end as number,
        {{ matches('digits', '^[+]?[0-9]+$') }} as is_number
    from written

),

planned as (

    select
        dialled.*,
        coalesce(one.calling_code, two.calling_code, three.calling_code) as code,
        coalesce(one.min_length, two.min_length, three.min_length) as shortest,
        coalesce(one.max_length, two.max_length, three.max_length) as longest,
        coalesce(one.not_first, two.not_first, three.not_first) as wrong_starts
    from dialled
    left join plans as one on left(dialled.number, 1) = one.calling_code
    left join plans as two on left(dialled.number, 2) = two.calling_code
    left join plans as three on left(dialled.number, 3) = three.calling_code

),

judged as (

    select
        *,
        case
            when namespace is null then 'no_namespace'
            when not is_known then 'unknown_namespace'
            when customer_id is null then 'no_id'
            when channel = 'email' and not ({{ is_possible_address('contact') }}) then 'impossible_address'
            when channel = 'email' then null
            when not is_number then 'not_a_number'
            when number is null then 'no_country'
            when code is null then 'unknown_country'
            when length(number) - length(code) not between shortest and longest then 'wrong_length'
            when wrong_starts like '%' || substr(number, length(code) + 1, 1) || '%' then 'wrong_start'
        end as rejection_reason
    from planned

),

ranked as (

    select
        *,
        row_number() over (
            partition by namespace, customer_id, channel, case when rejection_reason is null then 1 else 0 end
            order by position
        ) as preference
    from judged

)

select
    namespace,
    customer_id,
    channel,
    position,
    contact as contact_as_given,
    case
        when rejection_reason is null and channel = 'phone' then '+' || number
        when rejection_reason is null then contact
    end as contact,
    case
        when rejection_reason is not null then 'rejected'
        when preference = 1 then 'shipped'
        else 'spare'
    end as disposition,
    rejection_reason,
    file_name,
    line_number
from ranked
