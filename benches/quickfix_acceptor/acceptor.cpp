// A QuickFIX C++ acceptor that answers each order at once with an ExecutionReport: what the sessions of that engine cost, without
// books, money or a journal. `rialto load fix` measures it as it measures Rialto. See README.md.
//
// usage: acceptor PORT memory|file SESSIONS FIX44.xml [FOLDER]
#include <quickfix/Application.h>
#include <quickfix/FileStore.h>
#include <quickfix/MessageCracker.h>
#include <quickfix/MessageStore.h>
#include <quickfix/Session.h>
#include <quickfix/SessionSettings.h>
#include <quickfix/SocketAcceptor.h>
#include <quickfix/fix44/ExecutionReport.h>
#include <quickfix/fix44/NewOrderSingle.h>
#include <quickfix/fix44/OrderCancelRequest.h>

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string>
#include <unistd.h>

namespace {

volatile std::sig_atomic_t stopped = 0;

class Venue : public FIX::Application, public FIX::MessageCracker {
public:
    void onCreate(const FIX::SessionID&) override {}
    void onLogon(const FIX::SessionID&) override {}
    void onLogout(const FIX::SessionID&) override {}
    void toAdmin(FIX::Message&, const FIX::SessionID&) override {}
    void toApp(FIX::Message&, const FIX::SessionID&) throw(FIX::DoNotSend) override {}
    void fromAdmin(const FIX::Message&, const FIX::SessionID&)
        throw(FIX::FieldNotFound, FIX::IncorrectDataFormat, FIX::IncorrectTagValue, FIX::RejectLogon) override {}
    void fromApp(const FIX::Message& message, const FIX::SessionID& session)
        throw(FIX::FieldNotFound, FIX::IncorrectDataFormat, FIX::IncorrectTagValue, FIX::UnsupportedMessageType) override {
        crack(message, session);
    }

    void onMessage(const FIX44::NewOrderSingle& order, const FIX::SessionID& session) override {
        FIX::ClOrdID id;
        FIX::Symbol symbol;
        FIX::Side side;
        FIX::OrderQty quantity;
        FIX::OrdType type;
        FIX::Price price;
        order.get(id);
        order.get(symbol);
        order.get(side);
        order.get(quantity);
        order.get(type);
        order.get(price);
        FIX44::ExecutionReport report = answer(FIX::ExecType_NEW, FIX::OrdStatus_NEW, side, quantity);
        report.set(id);
        report.set(symbol);
        report.set(quantity);
        report.set(type);
        report.set(price);
        FIX::Session::sendToTarget(report, session);
    }

    void onMessage(const FIX44::OrderCancelRequest& request, const FIX::SessionID& session) override {
        FIX::ClOrdID id;
        FIX::OrigClOrdID original;
        FIX::Symbol symbol;
        FIX::Side side;
        request.get(id);
        request.get(original);
        request.get(symbol);
        request.get(side);
        FIX44::ExecutionReport report = answer(FIX::ExecType_CANCELED, FIX::OrdStatus_CANCELED, side, 0);
        report.set(id);
        report.set(original);
        report.set(symbol);
        FIX::Session::sendToTarget(report, session);
    }

private:
    FIX44::ExecutionReport answer(char type, char status, const FIX::Side& side, double leaves) {
        const std::string number = std::to_string(++count_);
        FIX44::ExecutionReport report{FIX::OrderID{number}, FIX::ExecID{number}, FIX::ExecType{type}, FIX::OrdStatus{status},
                                      side, FIX::LeavesQty{leaves}, FIX::CumQty{0}, FIX::AvgPx{0}};
        report.set(FIX::TransactTime());
        return report;
    }

    unsigned long count_ = 0;
};

std::string settings(const std::string& port, const std::string& dictionary, const std::string& folder, int sessions) {
    std::ostringstream text;
    text << "[DEFAULT]\nConnectionType=acceptor\nSocketAcceptPort=" << port
         << "\nSocketNodelay=Y\nSocketReuseAddress=Y\nSenderCompID=RIALTO\nBeginString=FIX.4.4\nStartTime=00:00:00\nEndTime=00:00:00\n"
            "UseDataDictionary=Y\nDataDictionary="
         << dictionary << "\nFileStorePath=" << folder << "\n";
    auto session = [&text](const std::string& name) { text << "[SESSION]\nTargetCompID=" << name << "\n"; };
    for (const char* name : {"ALICE", "BOB", "CAROL"}) session(name);
    for (int number = 1; number <= sessions; ++number) session("LOAD" + std::to_string(number));
    return text.str();
}

}  // namespace

int main(int count, char** arguments) {
    if (count < 5 || (std::string(arguments[2]) != "memory" && std::string(arguments[2]) != "file")) {
        std::cerr << "usage: acceptor PORT memory|file SESSIONS FIX44.xml [FOLDER]\n";
        return 2;
    }
    try {
        std::istringstream text(settings(arguments[1], arguments[4], count > 5 ? arguments[5] : "store", std::atoi(arguments[3])));
        FIX::SessionSettings settings(text);
        FIX::MemoryStoreFactory memory;
        FIX::FileStoreFactory files(settings);
        const bool in_memory = std::string(arguments[2]) == "memory";
        FIX::MessageStoreFactory& store = in_memory ? static_cast<FIX::MessageStoreFactory&>(memory) : files;
        Venue venue;
        FIX::SocketAcceptor acceptor(venue, store, settings);
        std::signal(SIGINT, [](int) { stopped = 1; });
        std::signal(SIGTERM, [](int) { stopped = 1; });
        acceptor.start();
        std::cout << "ready" << std::endl;
        while (!stopped) usleep(20000);
        acceptor.stop();
    } catch (const std::exception& error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
    return 0;
}
