"""The patient's pages: what is recorded, who may see it, who looked. Each file has the addresses it serves."""

from __future__ import annotations

from starlette.routing import BaseRoute, Route

from xinglin.web.portal import (
    access,
    closing,
    corrections,
    home,
    lists,
    record,
    rights,
    settings,
    sharing,
    summary,
    trends,
)


def routes() -> list[BaseRoute]:
    return [
        Route("/me", home.home),
        Route("/me/notices/{notice}", home.notice_seen, methods=["POST"]),
        Route("/me/requests/{task}", home.answer_request, methods=["POST"]),
        Route("/me/record", record.timeline_page),
        Route("/me/reports/{report}", record.report_page),
        Route("/me/documents/{document}", record.document_page),
        Route("/me/trends", trends.overview),
        Route("/me/trends/{code:path}", trends.one),
        Route("/me/medicines", lists.medicines_page),
        Route("/me/allergies", lists.allergies_page),
        Route("/me/immunizations", lists.immunizations_page),
        Route("/me/sharing", sharing.sharing_page),
        Route("/me/sharing/give", sharing.give_page, methods=["GET", "POST"]),
        Route("/me/sharing/withdraw", sharing.withdraw_action, methods=["POST"]),
        Route("/me/sharing/close", closing.close_page, methods=["GET", "POST"]),
        Route("/me/sharing/opt-out", closing.opt_out_page, methods=["GET", "POST"]),
        Route("/me/access", access.access_page),
        Route("/me/access/{line:int}/ask", access.ask_page, methods=["GET", "POST"]),
        Route("/me/print", summary.print_page),
        Route("/me/corrections", corrections.list_page),
        Route("/me/corrections/{type}/{id}", corrections.ask_page, methods=["GET", "POST"]),
        Route("/me/copy", rights.copy_page),
        Route("/me/copy.json", rights.copy_fhir),
        Route("/me/copy.pdf", rights.copy_paper),
        *settings.routes(),
    ]
